"""`mdbound demo`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add `mdbound demo` to the command line."""
    app.command("demo", epilog="Example: mdbound demo")(demo)


def demo() -> None:
    """To be written."""
