"""`mdbound solve`."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mdbound.analysis.solving.setting import SolveSetting
    from mdbound.analysis.solving.solve_cache import SolveSummary

EXAMPLE = (
    "Example: mdbound solve caches/smollm2 --out results.parquet --temperature 0.7,1.0 "
    "--num-drafts 1-8 --sampling with_replacement,without_replacement,greedy"
)


def register(app: typer.Typer) -> None:
    """Add `mdbound solve` to the command line."""
    app.command("solve", epilog=EXAMPLE)(solve)


def solve(
    cache: Annotated[Path, typer.Argument(help="Cache folder written by `capture`.")],
    *,
    out: Annotated[Path, typer.Option(help="Results file to write (Parquet).")],
    temperature: Annotated[
        list[str], typer.Option(help="Target temperatures; 0 is the argmax. Comma list or repeat.")
    ] = ["1.0"],  # noqa: B006  (typer copies it)
    draft_temperature: Annotated[
        list[str],
        typer.Option(help="Draft temperatures, or target for its own; 0 drafts the argmax."),
    ] = [],  # noqa: B006
    top_k: Annotated[
        list[str], typer.Option(help="Most likely tokens kept, or none. Target and draft.")
    ] = ["none"],  # noqa: B006
    top_p: Annotated[
        list[str], typer.Option(help="Nucleus mass kept, or none. Target and draft.")
    ] = ["none"],  # noqa: B006
    min_p: Annotated[
        list[str],
        typer.Option(
            help="Least share of the likeliest token's probability, or none. Target and draft."
        ),
    ] = ["none"],  # noqa: B006
    num_drafts: Annotated[str, typer.Option(help="Drafted tokens n, as in 1-8 or 1,2,4.")] = "1-8",
    sampling: Annotated[
        list[str],
        typer.Option(
            help="Draft laws: with_replacement, without_replacement, greedy, independent. "
            "Under independent, each draft model (or each --draft-temperature of a single one) "
            "drafts one token."
        ),
    ] = ["with_replacement,without_replacement"],  # noqa: B006
    draft: Annotated[
        list[str], typer.Option(help="Draft models to solve for; all of the cache by default.")
    ] = [],  # noqa: B006
    schemes: Annotated[
        list[str],
        typer.Option(
            help="Verification schemes to rate beside the bound: all, or names. Each is rated "
            "where --sampling holds its draft law."
        ),
    ] = [],  # noqa: B006
    scheme_samples: Annotated[
        int | None,
        typer.Option(
            help="Random draws per position where a scheme's rate has no exact algorithm "
            "(importance_sampling and rrs_without_replacement from n = 3): fewer is faster, and "
            "the standard errors in the results grow. Default: 16384 and 4096."
        ),
    ] = None,
    scheme_seed: Annotated[int, typer.Option(help="Seed of those draws.")] = 0,
    vocabulary_size: Annotated[
        list[str],
        typer.Option(help="Tokens that all models are restricted to, or none for all of them."),
    ] = ["none"],  # noqa: B006
    vocabulary_of: Annotated[
        str, typer.Option(help="Whose most likely tokens those are: target or draft.")
    ] = "target",
    task: Annotated[
        list[str], typer.Option(help="Tasks to solve; all of the cache by default.")
    ] = [],  # noqa: B006
    limit_per_task: Annotated[
        int | None, typer.Option(help="Solve only the first documents of each task.")
    ] = None,
    batch_rows: Annotated[int, typer.Option(help="Positions held in memory at a time.")] = 64,
) -> None:
    """Solve every position of a capture: the exact optimal acceptance, n by n.

    With --schemes, also what verification schemes achieve at each position.

    Run the same command again after an interruption: finished shards are not solved twice.
    """
    from mdbound.analysis.solving.grid import SolveGrid
    from mdbound.analysis.solving.num_drafts import parse_num_drafts
    from mdbound.analysis.solving.selection import Selection
    from mdbound.analysis.solving.solve_cache import solve_cache
    from mdbound.cli.parsing import parse_floats, parse_names, parse_optional
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    grid = SolveGrid(
        sampling=parse_names(sampling),
        temperatures=parse_floats(temperature, "--temperature"),
        draft_temperatures=parse_optional(
            draft_temperature, "--draft-temperature", float, "target"
        ),
        top_k=parse_optional(top_k, "--top-k", int),
        top_p=parse_optional(top_p, "--top-p", float),
        min_p=parse_optional(min_p, "--min-p", float),
        num_drafts=parse_num_drafts(num_drafts),
        drafts=parse_names(draft),
        vocabulary_sizes=parse_optional(vocabulary_size, "--vocabulary-size", int),
        vocabulary_of=vocabulary_of,
        schemes=parse_names(schemes),
        scheme_samples=scheme_samples,
        scheme_seed=scheme_seed,
    )
    opened = LogitsCache.open(cache)
    expanded = grid.settings(opened.draft_names)
    if grid.schemes:
        typer.echo(_costs(expanded), err=True)
    with progress_bar("solve", "positions") as bar:
        summary = solve_cache(
            opened,
            expanded,
            out,
            selection=Selection(parse_names(task), limit_per_task),
            batch_rows=batch_rows,
            command=command_line(),
            on_progress=lambda step: bar.update(step.done, step.total, step.new),
        )
    _print_summary(summary, expanded, grid.schemes)


#: Softmaxes a row below which a scheme's cost is not worth a word beside that of the bounds.
_CHEAP = 20.0


def _costs(expanded: Sequence[SolveSetting]) -> str:
    """What the dear schemes of a run cost, so that a wait is announced and can be spared."""
    from mdbound import schemes
    from mdbound.analysis.solving.results import BOUND

    settings = Counter(each.scheme for each in expanded if each.scheme != BOUND)
    dear = {
        name: (schemes.get(name).softmaxes, count)
        for name, count in settings.items()
        if schemes.get(name).softmaxes > _CHEAP
    }
    if not dear:
        return "schemes: each costs a few softmaxes a position and setting"
    listed = ", ".join(
        f"{name} about {softmaxes:.0f} ({count} settings)"
        for name, (softmaxes, count) in sorted(dear.items(), key=lambda item: -item[1][0])
    )
    return f"schemes cost in softmaxes a position and setting: {listed}; others a few"


def _print_summary(
    summary: SolveSummary, expanded: Sequence[SolveSetting], asked: Sequence[str]
) -> None:
    typer.echo(
        f"{summary.path}: {summary.rows:,} rows, {summary.positions:,} positions, "
        f"{len(expanded)} settings"
    )
    if summary.resumed:
        typer.echo(f"{summary.resumed:,} positions had been solved before")
    print_unsolved(summary)
    if asked:
        from mdbound.analysis.solving.scheme_settings import left_out
        from mdbound.cli.flags import with_flags

        for each in left_out(expanded, asked):
            typer.echo(with_flags(f"left out: {each.scheme}: {each.reason}", "solve"))


def print_unsolved(summary: SolveSummary) -> None:
    """Say how many rows are unsolved, and at which documents and positions, if any are."""
    if not summary.unsolved:
        return
    places = [f"document {doc} position {place}" for doc, place in summary.first_unsolved]
    more = summary.unsolved_positions - len(places)
    listed = ", ".join([*places, f"and {more:,} more"] if more else places)
    typer.echo(
        f"{summary.unsolved:,} rows at {summary.unsolved_positions:,} positions met no error "
        f"bound; their acceptance is null: {listed}"
    )


def command_line() -> str:
    """Return the command as typed, with the program's own path cut to its name."""
    return shlex.join(["mdbound", *sys.argv[1:]])
