"""`mdbound report`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add `mdbound report` to the command line."""
    app.command("report", epilog="Example: mdbound report")(report)


def report() -> None:
    """To be written."""
