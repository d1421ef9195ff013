"""How acceptance and gap are distributed over positions."""

from __future__ import annotations

import numpy as np
import polars as pl

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import Floats, Line, draw_lines, mean_lines
from mdbound.analysis.figures.slices import band_words, take_slice
from mdbound.analysis.figures.style import figure_settings
from mdbound.analysis.solving.results import BOUND, Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.comparison import paired_rows

_NAME = "ecdf"

#: Points of a curve, at values that occur: it is exact at each. More weigh in every file and
#: resample, and no print tells them apart.
_STEPS = 400


def draw_distribution(results: Results, options: FigureOptions) -> Drawing:
    """Draw the share of positions with at most so much acceptance, and with at most such a gap.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    part = take_slice(results, options, ())
    bounds = part.rows.filter(pl.col("scheme") == BOUND)
    panels = [("optimal acceptance", _ecdf(bounds, "acceptance", options.bootstrap))]
    if (part.settings["scheme"] != BOUND).any():
        gaps = paired_rows(part.rows)
        panels.append(("gap: bound − scheme", _ecdf(gaps, "gap", options.bootstrap)))
    with figure_settings():
        figure, axes = new_figure(len(panels), share_y=True)
        for each, (label, panel) in zip(axes, panels, strict=True):
            draw_lines(each, panel, marks=False, steps=True)
            each.set_xlabel(label)
            each.set_ylabel("share of positions")
            each.set_ylim(0.0, 1.02)
            each.locator_params(axis="x", nbins=6)
        arrange(figure, axes, held=part.fixed)
    return Drawing(
        _NAME,
        figure,
        "Share of the positions whose optimal acceptance is at most the value below"
        f"{'; and whose gap to the bound is' if len(panels) > 1 else ''}. "
        f"{band_words(part, options.bootstrap)} {part.fixed}",
    )


def _ecdf(rows: pl.LazyFrame, value: str, bootstrap: Bootstrap) -> list[Line]:
    """Empirical distribution functions, with bands over documents."""
    keys = ["sampling", "scheme", "task", "doc_id"]
    documents = (
        rows.drop_nulls(value).group_by(keys, maintain_order=True).agg(pl.col(value)).collect()
    )
    values = [np.sort(each) for each in documents[value].to_numpy()]
    grid = _places(np.concatenate(values), value)
    # Values that rounding alone tells apart are one step.
    counts = [np.searchsorted(each, grid + 1e-12, side="right") for each in values]
    spread = documents.select(
        *keys,
        pl.Series("x", [grid] * len(counts)),
        pl.Series("below", [each.astype(np.float64) for each in counts]),
        pl.col(value).list.len().alias("positions"),
    ).explode("x", "below")
    return mean_lines(spread.lazy(), "x", bootstrap, "below", per="positions")


def _places(values: Floats, value: str) -> Floats:
    """Where steps are: at values that occur, all of them or equally many between two."""
    distinct = np.unique(values.round(12))
    if len(distinct) > _STEPS:
        at = np.linspace(0, len(values) - 1, _STEPS).round().astype(np.int64)
        distinct = np.unique(np.sort(values.round(12))[at])
    lowest, highest = float(distinct[0]), float(distinct[-1])
    before = min(lowest, 0.0) if value == "gap" else lowest - 0.02 * (highest - lowest)
    return np.unique(np.append(distinct, before))


def _lacks(settings: pl.DataFrame) -> str | None:
    return None if settings.height else "no rows; solve the capture again"


KIND = FigureKind(
    _NAME, "distribution over positions of acceptance and gap", _lacks, draw_distribution
)
