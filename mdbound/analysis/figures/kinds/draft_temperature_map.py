"""Acceptance of two independent drafts over both their temperatures, as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange_map, new_figure
from mdbound.analysis.figures.slices import DRAFTING, draws_pairs, take_slice
from mdbound.analysis.figures.style import COLOUR_MAP, INK, figure_settings
from mdbound.analysis.solving.results import BOUND, Results
from mdbound.analysis.solving.setting import laws_of_several_distributions
from mdbound.analysis.statistics.task_means import task_means

_NAME = "draft-temperatures"

#: Values are written into the cells of maps that are at most this wide: narrower cells have no room
#: for digits that can be read.
_READABLE = 7

Floats = NDArray[np.float64]


def draw_map(results: Results, options: FigureOptions) -> Drawing:
    """Draw the bound of two independent drafts, one temperature on each axis.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    wanted = {"num_drafts": (2,), "sampling": laws_of_several_distributions(), "scheme": (BOUND,)}
    of_pairs = FigureOptions(options.bootstrap, {**options.where, **wanted})
    part = take_slice(results, of_pairs, {DRAFTING})
    means = task_means(part.rows, by=("draft_temperatures",), bootstrap=options.bootstrap)
    temperatures, cells = _cells(means, symmetric="|" not in part.settings["draft"][0])
    with figure_settings():
        figure, (axes,) = new_figure()
        _draw_cells(figure, axes, temperatures, cells)
    half = (means["high"] - means["low"]).to_numpy().max() / 2 if _has_bands(means) else None
    spread = f"Half-widths of the 95% intervals are at most {half:.3f}. " if half else ""
    return Drawing(
        _NAME,
        figure,
        "Optimal acceptance of two independent drafts, mean over positions, over their "
        f"temperatures; the frame marks the best. {spread}{part.fixed}",
    )


def _has_bands(means: pl.DataFrame) -> bool:
    return means["high"].null_count() == 0


def _cells(means: pl.DataFrame, *, symmetric: bool) -> tuple[Floats, Floats]:
    """Temperatures, and means at (first, second); the order of drafts of one model is all one."""
    pairs = [tuple(map(float, text.split("|"))) for text in means["draft_temperatures"]]
    temperatures = np.unique(pairs)
    cells = np.full((len(temperatures), len(temperatures)), np.nan)
    for pair, mean in zip(pairs, means["mean"], strict=True):
        first, second = np.searchsorted(temperatures, pair)
        cells[first, second] = mean
        if symmetric:
            cells[second, first] = mean
    return temperatures, cells


def _draw_cells(figure: Any, axes: Any, temperatures: Floats, cells: Floats) -> None:
    image = axes.imshow(cells.T, origin="lower", cmap=COLOUR_MAP)
    ticks = range(len(temperatures))
    labels = [f"{value:g}" for value in temperatures]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    axes.set_xlabel("temperature of draft 1")
    axes.set_ylabel("temperature of draft 2")
    axes.grid(visible=False)
    bar = figure.colorbar(image, cax=arrange_map(figure, axes), label="optimal acceptance")
    bar.outline.set_visible(False)
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
    for (first, second), value in np.ndenumerate(cells):
        if len(temperatures) <= _READABLE and np.isfinite(value):
            colour = "white" if value < middle else "black"
            axes.text(
                first, second, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=6.5
            )
    best = np.unravel_index(np.nanargmax(cells), cells.shape)
    corner = (float(best[0]) - 0.5, float(best[1]) - 0.5)
    axes.add_patch(_frame(corner))


def _frame(corner: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.4, clip_on=False)


def _lacks(settings: pl.DataFrame) -> str | None:
    pairs = settings.filter(
        draws_pairs() & (pl.col("scheme") == BOUND) & (pl.col("num_drafts") == 2)
    )["draft_temperatures"]
    values = [text.split("|") for text in pairs]
    if len({pair[0] for pair in values}) > 1 and len({pair[1] for pair in values}) > 1:
        return None
    return (
        "no two independent drafts at several temperatures each; give a study "
        "draft_temperature_sets such as [[0.8, 0.8], [0.8, 1.2], [1.2, 1.2]]"
    )


KIND = FigureKind(
    _NAME, "bound of two independent drafts over their temperatures (heat map)", _lacks, draw_map
)
