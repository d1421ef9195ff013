"""`mdbound bracket`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: mdbound bracket --shapes 2:3,3:4 --contexts 4000 --out reports/bracket"


def register(app: typer.Typer) -> None:
    """Add `mdbound bracket` to the command line."""
    app.command("bracket", epilog=EXAMPLE)(bracket)


def bracket(
    out: Annotated[Path, typer.Option(help="Folder for the table (CSV, LaTeX, Markdown).")],
    shapes: Annotated[
        list[str], typer.Option(help="How many paths and how long, as in 2:3,4:8.")
    ] = ["2:3", "3:4"],  # noqa: B006  (typer copies it)
    contexts: Annotated[int, typer.Option(help="Generated contexts of each shape.")] = 4000,
    seed: Annotated[int, typer.Option(help="Seed of the contexts.")] = 0,
) -> None:
    """How much any verifier can still gain: verifiers on generated rows, and bounds above them."""
    from mdbound.analysis.path_bound.bracket_table import bracket_table
    from mdbound.analysis.tables.files import write_table
    from mdbound.analysis.trees.tree_grid import parse_shapes
    from mdbound.cli.parsing import parse_names
    from mdbound.cli.progress_bar import progress_bar
    from mdbound.cli.show_table import show_table
    from mdbound.cli.solve import command_line

    laws = [shape.law() for shape in parse_shapes(parse_names(shapes))]
    with progress_bar("bracket", "steps") as bar:
        table = bracket_table(
            laws,
            contexts,
            seed,
            lambda done, total: bar.update(done, total, done),
            command_line(),
        )
    show_table(table)
    for file in write_table(table, out, "bracket"):
        typer.echo(f"wrote {file}")
