"""Acceptance against the number of drafts: the bound of each draft law, and the schemes on it."""

from __future__ import annotations

import polars as pl

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import draw_lines, law_panels, mean_lines
from mdbound.analysis.figures.slices import band_words, take_slice, varies
from mdbound.analysis.figures.style import figure_settings
from mdbound.analysis.solving.results import BOUND, Results

_NAME = "acceptance"


def draw_acceptance(results: Results, options: FigureOptions) -> Drawing:
    """Draw one panel for all bounds, or one per draft law where there are schemes.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    part = take_slice(results, options, {"num_drafts"})
    lines = mean_lines(part.rows, "num_drafts", options.bootstrap)
    panels = law_panels(lines)
    with_schemes = any(line.scheme != BOUND for line in lines)
    with figure_settings():
        figure, axes = new_figure(len(panels), share_x=True, share_y=True)
        for each, (title, panel) in zip(axes, panels, strict=True):
            draw_lines(each, panel)
            each.set_title(title)
            each.set_ylabel("acceptance")
            each.set_xlabel("number of drafts $n$")
            each.xaxis.get_major_locator().set_params(integer=True)
        arrange(figure, axes, held=part.fixed)
    return Drawing(
        _NAME,
        figure,
        "Probability that the output token is one of n drafted tokens, mean over positions: the "
        "optimum over all lossless rules under each draft law"
        f"{', and verification schemes' if with_schemes else ''}. "
        f"{band_words(part, options.bootstrap)} {part.fixed}",
    )


def _lacks(settings: pl.DataFrame) -> str | None:
    if varies(settings, "num_drafts"):
        return None
    return "one number of drafts only; solve for several, as in `num_drafts` 1-8"


KIND = FigureKind(
    _NAME, "acceptance against the number of drafts, per draft law", _lacks, draw_acceptance
)
