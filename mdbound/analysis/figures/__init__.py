"""Figures of results: one kind per file, all drawn with one style and saved in one way."""

from __future__ import annotations

from mdbound.analysis.figures.catalogue import FIGURES, draw, draw_all
from mdbound.analysis.figures.drawing import Drawing, FigureOptions
from mdbound.analysis.figures.save import FORMATS, inline_svg, write_as, write_drawing

__all__ = [
    "FIGURES",
    "FORMATS",
    "Drawing",
    "FigureOptions",
    "draw",
    "draw_all",
    "inline_svg",
    "write_as",
    "write_drawing",
]
