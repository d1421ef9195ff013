"""Acceptance against the entropy of the target distribution."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import draw_lines, law_panels, mean_lines
from mdbound.analysis.figures.slices import band_words, take_slice
from mdbound.analysis.figures.style import figure_settings
from mdbound.analysis.solving.results import Results

_NAME = "entropy"

#: Fewer positions than this make a bin's mean worthless; more leave a small capture too few bins.
_POSITIONS_PER_BIN = 10

#: More bins show a finer curve, each point of it with a wider band.
_MOST_BINS = 10


def draw_entropy(results: Results, options: FigureOptions) -> Drawing:
    """Draw mean acceptance in bins of target entropy that hold equally many positions.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    part = take_slice(results, options, ())
    rows, bins, sizes = _with_bins(part.rows)
    counts = f"{bins} bins of {_range(sizes)} positions each."
    lines = mean_lines(rows.lazy(), "entropy", options.bootstrap)
    with figure_settings():
        panels = law_panels(lines, most=6)
        figure, axes = new_figure(len(panels), share_x=True, share_y=True)
        for each, (title, panel) in zip(axes, panels, strict=True):
            draw_lines(each, panel)
            each.set_title(title)
            each.set_ylabel("acceptance")
            each.set_xlabel("target entropy (nats)")
        arrange(figure, axes, held=f"{counts} {part.fixed}")
    return Drawing(
        _NAME,
        figure,
        "Probability that the output token is one of the drafts against the entropy of the target "
        f"distribution: means over {bins} bins with equally many positions, each drawn at its "
        f"mean entropy. {band_words(part, options.bootstrap)} {part.fixed}",
    )


def _with_bins(rows: pl.LazyFrame) -> tuple[pl.DataFrame, int, NDArray[np.int64]]:
    """Add to each row the mean entropy of its bin; how many bins there are, and of what size."""
    collected = rows.select(
        "sampling", "scheme", "task", "doc_id", "position", "acceptance", "target_entropy"
    ).collect()
    of_positions = collected.unique(["doc_id", "position"])["target_entropy"].to_numpy()
    count = max(1, min(_MOST_BINS, len(of_positions) // _POSITIONS_PER_BIN))
    edges = np.unique(np.quantile(of_positions, np.arange(1, count) / count))
    totals = np.bincount(np.searchsorted(edges, of_positions), of_positions, len(edges) + 1)
    counts = np.bincount(np.searchsorted(edges, of_positions), minlength=len(edges) + 1)
    means = totals / np.maximum(counts, 1)
    # Sums depend on the order of their terms in the last digits, and the picture must not.
    at = np.searchsorted(edges, collected["target_entropy"].to_numpy())
    placed = collected.with_columns(pl.Series("entropy", means[at].round(9)))
    return placed, int((counts > 0).sum()), counts[counts > 0]


def _range(sizes: NDArray[np.int64]) -> str:
    least, most = int(sizes.min()), int(sizes.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _lacks(settings: pl.DataFrame) -> str | None:
    return None if settings.height else "no rows; solve the capture again"


KIND = FigureKind(_NAME, "acceptance against the entropy of the target", _lacks, draw_entropy)
