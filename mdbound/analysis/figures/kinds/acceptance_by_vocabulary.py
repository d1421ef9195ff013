"""Acceptance against the size of the vocabulary: restricted for all models alike, or top-k."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import draw_lines, law_panels, mean_lines
from mdbound.analysis.figures.slices import Slice, band_words, take_slice, varies
from mdbound.analysis.figures.style import figure_settings
from mdbound.analysis.solving.results import Results

_NAME = "vocabulary"
_MEANING = {
    "vocabulary_size": (
        "vocabulary size",
        "all models restricted to the {owner}'s most likely tokens at the position, and "
        "renormalised",
    ),
    "top_k": ("top-k", "each model restricted to its own k most likely tokens, and renormalised"),
}


def draw_vocabulary(results: Results, options: FigureOptions) -> Drawing:
    """Draw bounds and schemes against the number of tokens kept.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    across = _across(take_slice(results, options, _MEANING).settings) or "vocabulary_size"
    # The full vocabulary belongs to no one, so that its owner cannot be held fixed.
    part = take_slice(results, options, {across, "vocabulary_of"})
    full = float(results.provenance.capture.get("vocabulary") or 0)
    sizes = pl.col(across).cast(pl.Float64).fill_null(full)
    lines = mean_lines(part.rows.with_columns(sizes.alias("size")), "size", options.bootstrap)
    name, meaning = _MEANING[across]
    with figure_settings():
        panels = law_panels(lines, most=6)
        figure, axes = new_figure(len(panels), share_x=True, share_y=True)
        for each, (title, panel) in zip(axes, panels, strict=True):
            draw_lines(each, panel)
            each.set_title(title)
            each.set_xscale("log")
            each.set_ylabel("acceptance")
        for each in axes:
            _name_sizes(each, np.unique(np.concatenate([line.x for line in lines])), full)
            each.set_xlabel(name)
        arrange(figure, axes, held=part.fixed)
    return Drawing(
        _NAME,
        figure,
        f"Probability that the output token is one of the drafts against the {name}: "
        f"{meaning.format(owner=_owner(part))}. Mean over positions. "
        f"{band_words(part, options.bootstrap)} {part.fixed}",
    )


def _across(settings: pl.DataFrame) -> str | None:
    """The kind of restriction that varies."""
    return next((name for name in _MEANING if varies(settings, name)), None)


def _owner(part: Slice) -> str:
    owners = part.settings["vocabulary_of"].drop_nulls()
    return owners[0] if len(owners) else "target"


def _name_sizes(axes: object, sizes: NDArray[np.float64], full: float) -> None:
    """Put a tick at each size that leaves room for its label; the last may be all tokens."""
    kept: list[float] = []
    for size in sizes[::-1]:
        # A label is about a ninth of the axis wide.
        if not kept or np.log(kept[-1] / size) > np.log(sizes[-1] / sizes[0]) / 9:
            kept.append(float(size))
    labels = [_short(size) + ("\n(all)" if size == full else "") for size in kept]
    axis = axes.xaxis  # type: ignore[attr-defined]
    axis.set_ticks(kept, labels)
    axis.set_ticks([], minor=True)


def _short(size: float) -> str:
    return f"{size:.0f}" if size < 10_000 else f"{size / 1000:.0f}k"


def _lacks(settings: pl.DataFrame) -> str | None:
    if _across(settings):
        return None
    return "one vocabulary only; solve for several, as in `vocabulary_sizes` 10,100,none"


KIND = FigureKind(_NAME, "acceptance against vocabulary size or top-k", _lacks, draw_vocabulary)
