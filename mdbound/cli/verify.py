"""`mdbound verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mdbound.analysis.verification.verify import Verification

EXAMPLE = "Example: mdbound verify results.parquet --cache caches/smollm2 --rows 200"

SHOWN_FAILURES = 20


def register(app: typer.Typer) -> None:
    """Add `mdbound verify` to the command line."""
    app.command("verify", epilog=EXAMPLE)(verify)


def verify(
    results: Annotated[Path, typer.Argument(help="Results file written by `solve`.")],
    *,
    cache: Annotated[Path, typer.Option(help="Cache folder that it was solved from.")],
    rows: Annotated[int, typer.Option(help="Rows to draw at random.")] = 200,
    every: Annotated[bool, typer.Option("--all", help="Check every row instead.")] = False,
    cvxpy_rows: Annotated[
        int, typer.Option(help="How many of them cvxpy checks, too (it is slow).")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
) -> None:
    """Check a results file, all of it and drawn rows one by one; exit 1 on a contradiction.

    Of the file, that every row is there once and has values that it can have. Of a drawn row, that
    it is the same in every column when solved again, that its optimum is enclosed at full
    vocabulary by exact or ball arithmetic, and that its setting has the same optimum as a linear
    program on the most likely tokens. Nothing is taken from the file itself.
    """
    from mdbound.analysis.verification.verify import verify_results
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    with progress_bar("verify", "rows") as bar:
        found = verify_results(
            results,
            LogitsCache.open(cache),
            rows=None if every else rows,
            cvxpy_rows=cvxpy_rows,
            seed=seed,
            on_progress=lambda done, total: bar.update(done, total, done),
        )
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
