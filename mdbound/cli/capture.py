"""`mdbound capture`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add `mdbound capture` to the command line."""
    app.command("capture", epilog="Example: mdbound capture")(capture)


def capture() -> None:
    """To be written."""
