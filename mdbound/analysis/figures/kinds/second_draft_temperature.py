"""Acceptance against the temperature of the second of two drafts, beside two identical drafts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import Line, draw_lines, mean_lines
from mdbound.analysis.figures.slices import band_words, draws_pairs, settings_of, take_slice
from mdbound.analysis.figures.style import figure_settings, scheme_style
from mdbound.analysis.solving.results import BOUND, Results
from mdbound.analysis.tables.names import scheme_name

if TYPE_CHECKING:
    from mdbound.analysis.figures.style import Axes

_NAME = "second-draft"


def draw_second_draft(results: Results, options: FigureOptions) -> Drawing:
    """Draw bound and schemes of non-identical drafts, and of identical ones as level lines.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    first = _first_temperature(settings_of(results, options))
    two = FigureOptions(options.bootstrap, {**options.where, "num_drafts": (2,)})
    part = take_slice(results, two, {"drafting"})
    temperatures = pl.col("draft_temperatures").str.split("|")
    spread = part.rows.filter(draws_pairs() & (temperatures.list.first() == first)).with_columns(
        temperatures.list.last().cast(pl.Float64).alias("second")
    )
    level = part.rows.filter(
        (pl.col("sampling") == "with_replacement") & (pl.col("draft_temperatures") == first)
    ).with_columns(pl.lit(0.0).alias("second"))
    lines = mean_lines(spread, "second", options.bootstrap)
    known = {line.scheme for line in lines}
    same = [
        line
        for line in (mean_lines(level, "second", options.bootstrap) if _any(level) else [])
        if line.scheme in known
    ]
    with figure_settings():
        figure, (axes,) = new_figure()
        draw_lines(axes, lines)
        _draw_levels(axes, same)
        axes.set_xlabel("temperature of draft 2")
        axes.set_ylabel("acceptance")
        arrange(figure, [axes], held=part.fixed)
    return Drawing(
        _NAME,
        figure,
        f"Probability that the output token is one of two drafts, mean over positions: draft 1 at "
        f"temperature {first}, draft 2 as below. "
        f"{f'Dotted: two identical drafts at {first}. ' if same else ''}"
        f"{band_words(part, options.bootstrap)} {part.fixed}",
    )


def _draw_levels(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw the one point of each line as a level across the axes."""
    for line in lines:
        axes.axhline(
            line.mean[0],
            color=scheme_style(line.scheme).colour,
            linewidth=0.8,
            linestyle=(0, (1, 1.5)),
            label=f"{scheme_name(line.scheme)}, identical",
        )


def _any(rows: pl.LazyFrame) -> bool:
    return not rows.head(1).collect().is_empty()


def _first_temperature(settings: pl.DataFrame) -> str:
    """The first draft's temperature that the most second ones go with."""
    pairs = settings.filter(draws_pairs() & (pl.col("scheme") == BOUND))[
        "draft_temperatures"
    ].unique()
    first = [text.split("|")[0] for text in sorted(pairs)]
    values, counts = np.unique(first, return_counts=True)
    return str(values[np.argmax(counts)])


def _lacks(settings: pl.DataFrame) -> str | None:
    pairs = settings.filter(
        draws_pairs() & (pl.col("scheme") == BOUND) & (pl.col("num_drafts") == 2)
    )
    first = [text.split("|")[0] for text in pairs["draft_temperatures"].unique()]
    if len(first) > len(set(first)):
        return None
    return (
        "no two independent drafts with one temperature held fixed; give a study "
        "draft_temperature_sets such as [[1.2, 1.0], [1.2, 2.0]]"
    )


KIND = FigureKind(
    _NAME,
    "two non-identical drafts against the second one's temperature",
    _lacks,
    draw_second_draft,
)
