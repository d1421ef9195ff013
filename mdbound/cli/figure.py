"""`mdbound figure`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: mdbound figure two-drafts --out two-drafts.pdf"


class FigureName(StrEnum):
    """Figures that can be drawn."""

    two_drafts = "two-drafts"


def register(app: typer.Typer) -> None:
    """Add `mdbound figure` to the command line."""
    app.command("figure", epilog=EXAMPLE)(figure)


def figure(
    name: Annotated[FigureName, typer.Argument(help="Which figure.")],
    out: Annotated[Path, typer.Option(help="File to write: .png, .pdf or .svg.")],
    points: Annotated[int, typer.Option(help="Points per curve.")] = 241,
) -> None:
    """Draw a published figure from exact values.

    two-drafts: acceptance of two i.i.d. drafts over three tokens, optimal, SpecTr and SpecInfer
    (Khisti et al. 2025, Figure 2).
    """
    from mdbound.analysis.two_draft_figure import write_two_draft_figure

    drawers = {FigureName.two_drafts: write_two_draft_figure}
    typer.echo(f"wrote {drawers[name](out, points)}")
