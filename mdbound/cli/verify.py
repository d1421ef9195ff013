"""`mdbound verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdbound.errors import InvalidSettingError

if TYPE_CHECKING:
    from mdbound.analysis.verification.outcome import Verification

EXAMPLE = "Example: mdbound verify results.parquet --cache caches/smollm2 --rows 200"

SHOWN_FAILURES = 20


def register(app: typer.Typer) -> None:
    """Add `mdbound verify` to the command line."""
    app.command("verify", epilog=EXAMPLE)(verify)


# Long: each kind of file has its own referee, and its words are help.
def verify(
    results: Annotated[
        Path, typer.Argument(help="Results file written by `solve`, `paths` or `trees`.")
    ],
    *,
    cache: Annotated[Path | None, typer.Option(help="Cache folder that it was made from.")] = None,
    logprobs: Annotated[
        Path | None, typer.Option(help="Or the file of log-probabilities, of `paths --logprobs`.")
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(help="Folder that `report` wrote from the file: check its tables instead."),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help="Rows to draw at random (default 200); of `paths` documents, of `trees` contexts "
            "(default 20)."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every one instead.")] = False,
    cvxpy_rows: Annotated[
        int, typer.Option(help="How many rows of `solve` cvxpy checks, too (it is slow).")
    ] = 5,
    seed: Annotated[
        int, typer.Option(help="Seed of the draw; with --tables, of the report's resampling.")
    ] = 0,
    resamples: Annotated[
        int, typer.Option(help="With --tables, the report's bootstrap resamples.")
    ] = 9999,
) -> None:
    """Check a results file, all of it and drawn parts one by one; exit 1 on a contradiction.

    Of `solve`: every row is there once and has values that it can have; a drawn row is the same in
    every column when solved again, its optimum is enclosed at full vocabulary by exact or ball
    arithmetic, and its setting has the same optimum as a linear program on the most likely tokens.
    Of `paths`: every row is what the run gives when done again; tails and calls of drawn documents
    follow from their definitions. Of `trees`: likewise, for drawn contexts, and verifiers are
    summed over every tree of small problems. Nothing is taken from the file itself. With --tables
    the report is made again from the file, and every file of the folder must be the same.
    """
    from mdbound.analysis.paths.path_results import holds_paths
    from mdbound.analysis.trees.tree_results import holds_trees
    from mdbound.analysis.verification.verify import missing_extras, verify_results
    from mdbound.analysis.verification.verify_paths import verify_paths
    from mdbound.analysis.verification.verify_trees import verify_trees
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    if tables is not None:
        _show(_verified_tables(results, tables, resamples, seed, cache or logprobs))
        return
    if (cache is None) == (logprobs is None):
        raise InvalidSettingError(
            "give --cache, or --logprobs for results of mdbound paths --logprobs"
        )
    if logprobs is not None and not holds_paths(results):
        raise InvalidSettingError(
            f"--logprobs is for results of mdbound paths, which {results} is not"
        )
    if rows is not None and rows < 1:
        raise InvalidSettingError(f"--rows {rows}: give at least 1")
    source = logprobs if cache is None else LogitsCache.open(cache)
    count = None if every else (rows or 20)
    of_solve = not (holds_paths(results) or holds_trees(results))
    for line in missing_extras(results, cvxpy_rows) if of_solve else ():
        typer.echo(f"note: {line}", err=True)
    with progress_bar("verify", "steps") as bar:

        def on_progress(done: int, total: int) -> None:
            bar.update(done, total, done)

        if holds_paths(results):
            assert source is not None  # one of the two was given
            found = verify_paths(results, source, texts=count, seed=seed, on_progress=on_progress)
        elif holds_trees(results):
            assert isinstance(source, LogitsCache)  # refused above
            found = verify_trees(
                results, source, contexts=count, seed=seed, on_progress=on_progress
            )
        else:
            assert isinstance(source, LogitsCache)  # refused above
            found = verify_results(
                results,
                source,
                rows=None if every else (rows or 200),
                cvxpy_rows=cvxpy_rows,
                seed=seed,
                on_progress=on_progress,
            )
    _show(found)


def _verified_tables(
    results: Path, tables: Path, resamples: int, seed: int, source: Path | None
) -> Verification:
    from mdbound.analysis.statistics.bootstrap import Bootstrap
    from mdbound.analysis.verification.verify_tables import verify_tables

    if source is not None:
        raise InvalidSettingError(
            "--tables holds tables against the results file; check the file itself against its "
            "capture in a call of its own"
        )
    return verify_tables(results, tables, Bootstrap(resamples=resamples, seed=seed))


def _show(found: Verification) -> None:
    _print(found)
    if not found.passed:
        raise typer.Exit(1)


def _print(found: Verification) -> None:
    typer.echo(
        f"{found.rows:,} of {found.total:,} rows drawn: a single wrong one is among them with "
        f"probability {found.power:.2%}"
    )
    for name, check in found.checks.items():
        typer.echo(
            f"{name:>12}: {check.rows} rows, worst discrepancy {check.worst:.2e}, "
            f"{check.worst_share:.0%} of what is allowed"
        )
        for reason, count in check.skipped.items():
            typer.echo(f"{'':>12}  {count} rows not checked: {reason}")
    for failure in found.failures[:SHOWN_FAILURES]:
        typer.echo(
            f"WRONG ({failure.check}): {failure.claimed} is off by {failure.discrepancy:.3e}, "
            f"allowed {failure.allowed:.1e}: {failure.row}"
        )
    hidden = len(found.failures) - SHOWN_FAILURES
    if hidden > 0:
        typer.echo(f"and {hidden} more")
    typer.echo("all checks passed" if found.passed else f"{len(found.failures)} contradictions")
