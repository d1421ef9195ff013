"""`mdbound report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdbound.cli.solve import command_line

if TYPE_CHECKING:
    from mdbound.analysis.report import Report
    from mdbound.analysis.tables import Interval

EXAMPLE = "Example: mdbound report results.parquet --out reports/smollm2"


def register(app: typer.Typer) -> None:
    """Add `mdbound report` to the command line."""
    app.command("report", epilog=EXAMPLE)(report)


def report(
    results: Annotated[Path, typer.Argument(help="Results file written by `solve`.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of the documents.")] = 9999,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """Write tables of mean acceptance with 95% intervals as CSV, LaTeX and Markdown."""
    from mdbound.analysis.report import write_report
    from mdbound.analysis.statistics import Bootstrap

    bootstrap = Bootstrap(resamples=resamples, seed=seed)
    show_report(write_report(results, out, bootstrap=bootstrap, command=command_line()))


def show_report(written: Report) -> None:
    """Print a report's table, its notes, and where its files are."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    table = written.table
    grid = Grid(title=table.caption, title_justify="left", box=box.SIMPLE, padding=(0, 1))
    for name in table.labels:
        grid.add_column(name)
    for name in table.values:
        grid.add_column(name, justify="right", no_wrap=True)
    previous = None
    for labels, cells in table.rows:
        if previous not in (None, labels[0]):
            grid.add_section()
        previous = labels[0]
        grid.add_row(*labels, *(_stacked(cell) for cell in cells))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200  # a pipe or a file has no width to keep to
    console.print(grid)
    console.print("Below a mean: half the width of its 95% interval.")
    for note in table.notes:
        console.print(f"- {note}")
    for file in written.files:
        console.print(f"wrote {file}", soft_wrap=True)


def _stacked(cell: Interval) -> str:
    """Mean, and half the interval below it, so that eight columns fit a terminal."""
    if cell.low is None or cell.high is None:
        return cell.mean_text
    return f"{cell.mean_text}\n±{(cell.high - cell.low) / 2:.3f}"
