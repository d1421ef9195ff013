"""`mdbound demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdbound.cli.report import show_report
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
    """Capture, solve and report a bundled pair of tiny models, in under three minutes.

    The models read sections of the Python language reference that they were not trained on. The
    optimal acceptance is solved for one to eight drafted tokens under every draft law. Nothing is
    downloaded; run again, nothing is done twice.
    """
    from mdbound.analysis.demo import run_demo

    made = run_demo(out, command_line())
    show_report(made.report)
    typer.echo(
        f"{made.captured.positions:,} positions captured in {out / 'capture'}, "
        f"{made.solved.rows:,} rows in {made.solved.path}"
    )
