"""`mdbound solve`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add `mdbound solve` to the command line."""
    app.command("solve", epilog="Example: mdbound solve")(solve)


def solve() -> None:
    """To be written."""
