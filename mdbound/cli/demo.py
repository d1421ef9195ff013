"""`mdbound demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.report import show_report
from mdbound.cli.show_table import show_table
from mdbound.cli.solve import command_line

EXAMPLE = "Example: mdbound demo --out demo-output"


def register(app: typer.Typer) -> None:
    """Add `mdbound demo` to the command line."""
    app.command("demo", epilog=EXAMPLE)(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for capture, results and report.")] = Path(
        "demo-output"
    ),
) -> None:
    """Capture, solve and report a bundled pair of tiny models, in about a minute.

    The models read sections of the Python language reference that they were not trained on. The
    optimal acceptance is solved for one to eight drafted tokens under every draft law, one law
    after the other; most of the minute goes to compiling each of them, once. Nothing is
    downloaded; run again, nothing is done twice.
    """
    from mdbound.analysis.demo import DemoFolder, capture_tiny_pair, solve_tiny_pair
    from mdbound.analysis.tables.report import write_report
    from mdbound.cli.progress_bar import progress_bar

    folder = DemoFolder(out)
    with progress_bar("capture", "positions") as bar:
        captured = capture_tiny_pair(
            folder,
            lambda step: bar.update(step.passages, step.total_passages, step.new_positions),
        )
    with progress_bar("solve", "positions") as bar:
        solved = solve_tiny_pair(
            folder,
            command_line(),
            lambda step: bar.update(step.done, step.total, step.new),
            lambda table: show_table(table, notes=False),
        )
    show_report(write_report(solved.path, folder.report, command=command_line()))
    typer.echo(
        f"{captured.positions:,} positions captured in {folder.capture}, "
        f"{solved.rows:,} rows in {solved.path}"
    )
