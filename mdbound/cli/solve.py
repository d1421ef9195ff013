"""`mdbound solve`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

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
        list[str], typer.Option(help="Draft temperatures; the target's when left out.")
    ] = [],  # noqa: B006
    top_k: Annotated[
        list[str], typer.Option(help="Most likely tokens kept, or none. Target and draft.")
    ] = ["none"],  # noqa: B006
    top_p: Annotated[
        list[str], typer.Option(help="Nucleus mass kept, or none. Target and draft.")
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
    batch_rows: Annotated[int, typer.Option(help="Positions held in memory at a time.")] = 64,
) -> None:
    """Solve every position of a capture: the exact optimal acceptance, n by n.

    Run the same command again after an interruption: finished shards are not solved twice.
    """
    from mdbound.analysis import settings
    from mdbound.analysis.solve import solve_cache
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store import LogitsCache

    grid = settings.SolveGrid(
        sampling=settings.parse_names(sampling),
        temperatures=settings.parse_floats(temperature, "--temperature"),
        draft_temperatures=settings.parse_floats(draft_temperature, "--draft-temperature"),
        top_k=settings.parse_optional(top_k, "--top-k", int),
        top_p=settings.parse_optional(top_p, "--top-p", float),
        num_drafts=settings.parse_num_drafts(num_drafts),
        drafts=settings.parse_names(draft),
    )
    opened = LogitsCache.open(cache)
    expanded = grid.settings(opened.draft_names)
    with progress_bar("solve", "positions") as bar:
        summary = solve_cache(
            opened,
            expanded,
            out,
            batch_rows=batch_rows,
            command=command_line(),
            on_progress=lambda step: bar.update(step.done, step.total, step.new),
        )
    typer.echo(
        f"{summary.path}: {summary.rows:,} rows, {summary.positions:,} positions, "
        f"{len(expanded)} settings"
    )
    if summary.resumed:
        typer.echo(f"{summary.resumed:,} positions had been solved before")
    if summary.unsolved:
        typer.echo(f"{summary.unsolved:,} rows met no error bound; their acceptance is null")


def command_line() -> str:
    """Return the command as typed, with the program's own path cut to its name."""
    return shlex.join(["mdbound", *sys.argv[1:]])
