"""`mdbound trees`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = "Example: mdbound trees captures/smollm2-paths --shapes 2:3,3:4,4:8 --out trees.parquet"


def register(app: typer.Typer) -> None:
    """Add `mdbound trees` to the command line."""
    app.command("trees", epilog=EXAMPLE)(trees)


def trees(
    cache: Annotated[Path, typer.Argument(help="Cache with drafted trees or paths.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write; resumes if interrupted.")],
    verifiers: Annotated[
        list[str],
        typer.Option(help="Verifiers; by default those that suit the trees of the cache."),
    ] = [],  # noqa: B006  (typer copies it)
    shapes: Annotated[
        list[str],
        typer.Option(
            help="Of captured paths, how many and how long, as in 2:3,4:8; all by default."
        ),
    ] = [],  # noqa: B006
    draft: Annotated[
        list[str], typer.Option(help="Draft models; all that drew trees by default.")
    ] = [],  # noqa: B006
    mixed: Annotated[
        list[str],
        typer.Option(
            help="Draft that each path of a tree comes from, as in small,small,large: captured "
            "paths of several drafts as one tree."
        ),
    ] = [],  # noqa: B006
    offsets: Annotated[
        Path | None,
        typer.Option(
            help="Offsets of quantile, from `mdbound offsets`; documents that they were chosen on "
            "are left out."
        ),
    ] = None,
    sampled: Annotated[
        bool, typer.Option("--sampled", help="Also run each verifier once, coins and all.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the runs with coins.")] = 0,
) -> None:
    """Accepted length of tree verifiers on the drafted trees of a capture, and a bound above.

    Coins are summed over, so that a context gives the expected length given its tree. Full trees
    under schemes of one position, and gbv, need no drafted trees: `mdbound paths` has them from
    the text alone.
    """
    from mdbound.analysis.offsets.chosen_offsets import read_offsets
    from mdbound.analysis.trees.run_trees import run_on_trees
    from mdbound.analysis.trees.tree_grid import TreeGrid, parse_shapes
    from mdbound.analysis.trees.tree_results import open_trees
    from mdbound.analysis.trees.tree_tables import expected_lengths, length_table
    from mdbound.cli.parsing import parse_names
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    grid = TreeGrid(
        verifiers=parse_names(verifiers),
        shapes=parse_shapes(parse_names(shapes)),
        drafts=parse_names(draft),
        mixed=parse_names(mixed),
        offsets=None if offsets is None else read_offsets(offsets),
        sampled=sampled,
        seed=seed,
    )
    with progress_bar("trees", "contexts") as bar:
        summary = run_on_trees(
            LogitsCache.open(cache),
            grid,
            out,
            command=command_line(),
            on_progress=lambda step: bar.update(step.done, step.total, step.new),
        )
    show_table(length_table(expected_lengths(open_trees(out))), notes=False)
    typer.echo(f"{summary.path}: {summary.rows:,} rows of {summary.contexts:,} contexts")
