"""`mdbound info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `mdbound info` to the command line."""
    app.command("info", epilog="Example: mdbound info caches/smollm2")(info)


def info(cache: Annotated[Path, typer.Argument(help="Cache folder written by `capture`.")]) -> None:
    """Summarise a capture: models, text, vocabulary, positions, entropies, acceptance."""
