"""Tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdbound.analysis.tables.table import Interval, Table


def show_table(table: Table, *, notes: bool = True) -> None:
    """Print a table, the best of each block bold and the second best underlined.

    Args:
        table: What to print.
        notes: Whether to print its notes too.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    grid = Grid(title=escape(table.caption), title_justify="left", box=box.SIMPLE, padding=(0, 1))
    for name in table.labels:
        grid.add_column(name)
    for name in table.values:
        grid.add_column(name, justify="right", no_wrap=True)
    previous = None
    for labels, cells in table.rows:
        if previous not in (None, labels[0]):
            grid.add_section()
        previous = labels[0]
        grid.add_row(*map(escape, labels), *(_stacked(cell) for cell in cells))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe or a file has no width to keep to
    console.print(grid)
    if notes:
        console.print("Below a mean: half the width of its 95% interval.")
        for note in table.notes:
            console.print(f"- {escape(note)}")


def _stacked(cell: Interval) -> str:
    """Mean, and half the interval below it, so that eight columns fit a terminal."""
    style = {1: "bold", 2: "underline"}.get(cell.rank or 0)
    mean = f"[{style}]{cell.mean_text}[/{style}]" if style else cell.mean_text
    if cell.low is None or cell.high is None:
        return mean
    return f"{mean}\n±{(cell.high - cell.low) / 2:.3f}"
