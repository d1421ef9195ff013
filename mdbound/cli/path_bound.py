"""`mdbound path-bound`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = (
    "Example: mdbound path-bound caches/smollm2-paths --shapes 2:3,3:4,4:8 --out path-bound.parquet"
)


def register(app: typer.Typer) -> None:
    """Add `mdbound path-bound` to the command line."""
    app.command("path-bound", epilog=EXAMPLE)(path_bound)


def path_bound(
    cache: Annotated[Path, typer.Argument(help="Cache with drafted paths.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write, for `mdbound report`.")],
    shapes: Annotated[
        list[str],
        typer.Option(
            help="How many paths and how long, as in 2:3,4:8; more paths than the cache holds at a "
            "context are put together from several. Those of the cache by default."
        ),
    ] = [],  # noqa: B006  (typer copies it)
    draft: Annotated[
        list[str], typer.Option(help="Draft models; all that drew paths by default.")
    ] = [],  # noqa: B006
    parameters: Annotated[
        Path | None,
        typer.Option(help="Parameters fitted on another capture, in place of a fit."),
    ] = None,
    parameters_out: Annotated[
        Path | None, typer.Option(help="File for the parameters fitted here (JSON).")
    ] = None,
) -> None:
    """Bound what any verifier of i.i.d. paths can accept, tighter than depth by depth.

    Each half of the documents is bounded with prices that were fitted on the other. The tighter
    form takes the text that follows each context, which needs contexts at fixed places: captures
    with --path-every. Give the file to `mdbound report` beside that of `mdbound trees`.
    """
    from mdbound.analysis.path_bound.parameters_file import read_parameters
    from mdbound.analysis.path_bound.run_path_bound import BoundProgress, run_path_bound
    from mdbound.analysis.trees.tree_grid import parse_shapes
    from mdbound.analysis.trees.tree_results import open_trees
    from mdbound.analysis.trees.tree_tables import BOUND_TITLES, expected_lengths, length_table
    from mdbound.cli.parsing import parse_names
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.logits_cache.store.cache import LogitsCache

    given = None if parameters is None else read_parameters(parameters)
    with progress_bar("path bound", "contexts") as read, progress_bar("fits", "fits") as fits:
        summary = run_path_bound(
            LogitsCache.open(cache),
            tuple(shape.law() for shape in parse_shapes(parse_names(shapes))),
            out,
            drafts=parse_names(draft),
            given=given,
            parameters=parameters_out,
            command=command_line(),
            progress=BoundProgress(
                lambda done, total: read.update(done, total, done),
                lambda done, total: fits.update(done, total, done),
            ),
        )
    show_table(length_table(expected_lengths(open_trees(out))), notes=False)
    for name, law, (one, other) in summary.chosen:
        typer.echo(
            f"{name}, {law.title()}: least on the halves were {BOUND_TITLES[one]}; "
            f"{BOUND_TITLES[other]}"
        )
    typer.echo(f"wrote {summary.path}")
