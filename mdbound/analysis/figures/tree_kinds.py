"""Figures of draft trees: a topology, accepted lengths, and gaps to the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.figures.drawing import Drawing
from mdbound.analysis.figures.held import held_words
from mdbound.analysis.figures.layout import foot_height, new_figure, write_foot
from mdbound.analysis.figures.style import COLUMN_WIDTH, INK, PALETTE, figure_settings
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.trees.gap_series import Series
from mdbound.analysis.trees.tree_results import LAW_COLUMNS
from mdbound.analysis.trees.tree_tables import expected_lengths
from mdbound.errors import InvalidSettingError
from mdbound.trees import Topology
from mdbound.trees.topologies.topology import Slot

if TYPE_CHECKING:
    from mdbound.analysis.figures.style import Figure

#: Short, so that rows leave room for the marks in one column of a paper.
_LABELS = {
    "carried": "optimum, carried",
    "depth_bound": "bound by depth",
    "depth_bound_largest_sum": "by depth, largest sum",
    "depth_bound_text": "by depth, from text",
    "path_bound": "path bound",
    "path_bound_psi": "path bound, psi",
    "path_bound_gate": "path bound, gate",
    "nss": "NSS",
    "first_draft": "first draft",
    "rrs_with_replacement": "RRS",
    "optimal_per_node": "optimal per node",
    "top_down_optimum": "best node by node",
    "block_first_path": "block, first path",
    "gbv": "GBV",
    "quantile": "quantile",
    "traversal": "traversal",
    "k_seq": "K-SEQ",
    "rrs_skip_repeats": "RRS, skip",
    "rrs_without_replacement": "RRS without",
    "greedy": "greedy",
    "univer": "UniVer",
    "quantile_recursive": "quantile, recursive",
}

_SERIES_COLOURS = ("blue", "sky", "vermillion", "green", "purple", "orange", "grey")
_SERIES_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Inches of a row of the figure of gaps, and of what stands above and below them.
_ROW, _AROUND = 0.30, 0.95


def draw_topology(name: str, topology: Topology) -> Drawing:
    """A topology: the context at the top, a dot for each drafted token.

    Args:
        name: What to call it.
        topology: What to draw.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    places = _places(topology)
    with figure_settings():
        figure, (axes,) = new_figure()
        figure.set_size_inches(COLUMN_WIDTH, 0.5 + 0.42 * topology.depth)
        axes.set_position((0.02, 0.04, 0.96, 0.92))
        for slot in topology.slots:
            (x0, y0), (x1, y1) = places[slot[:-1]], places[slot]
            axes.plot([x0, x1], [y0, y1], color=PALETTE["grey"], linewidth=0.8, zorder=1)
        for slot, (x, y) in places.items():
            colour = INK if slot == () else PALETTE["blue"]
            hollow = not topology.num_children(slot)
            axes.plot(x, y, "o", color=colour, markerfacecolor="white" if hollow else colour)
        axes.set_axis_off()
    return Drawing(
        "tree",
        figure,
        f"{name}: {topology.size} drafted tokens, depth {topology.depth}, "
        f"{len(topology.internal)} nodes that are drafted after (filled), the context at the top.",
    )


def draw_gaps(frame: pl.DataFrame, seed: int) -> Drawing:
    """Gaps of every verifier to the optimum of one call, with two standard errors.

    Args:
        frame: From `gap_series`.
        seed: Of the series, for the caption.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    groups = frame.partition_by(
        "generator", "vocab_size", "length", "num_paths", maintain_order=True
    )
    series = []
    for group in groups:
        first = group.row(0, named=True)
        size = Series(*(first[name] for name in ("generator", "vocab_size", "length", "num_paths")))
        gap, error = group["gap"].to_numpy(), 2.0 * group["standard_error"].to_numpy()
        series.append(_Marks(size.title, group["value"].to_list(), gap, gap - error, gap + error))
    with figure_settings():
        models = f"{frame['instances'][0]} random models of each kind, seed {seed}."
        label = r"missing to the optimum, in $E\,\tau$"
        figure = _marked_rows(series, label, line_at=0.0, held=models)
    return Drawing(
        "tree-gap",
        figure,
        "What verifiers miss to the best verifier that leaves a fresh target behind, mean over "
        f"{frame['instances'][0]} random models of each kind (seed {seed}) with two standard "
        "errors. Left of the line: the best that may carry state, and the bound by depth.",
    )


def draw_tree_lengths(results: Results, bootstrap: Bootstrap) -> Drawing:
    """Expected accepted length of every verifier on every tree, and the bound by depth.

    Args:
        results: From `open_trees`, of one draft at one setting.
        bootstrap: How intervals are made.

    Raises:
        InvalidSettingError: The results hold several drafts or settings.
        MissingDependencyError: matplotlib is not installed.
    """
    means = expected_lengths(results, bootstrap)
    if means.select(LAW_COLUMNS).unique().height > 1:
        raise InvalidSettingError(
            f"{results.path} holds several drafts or temperatures; a figure shows one: give "
            "`drafts` one value"
        )
    pooled = means.filter(pl.col("task") == means["task"][0])
    series = [
        _Marks(
            group["tree"][0],
            group["verifier"].to_list(),
            *(group[name].to_numpy() for name in ("mean", "low", "high")),
        )
        for group in pooled.partition_by("tree", maintain_order=True)
    ]
    with figure_settings():
        held = held_words(results)
        figure = _marked_rows(series, r"accepted length $E\,\tau$", held=held)
    return Drawing(
        "tree-lengths",
        figure,
        "Expected accepted length of each verifier on captured trees, a mean over positions, and "
        "the bound by depth, which no verifier exceeds. Bars: "
        f"{bootstrap.confidence:.0%} bootstrap over documents.",
    )


@dataclass(frozen=True)
class _Marks:
    """Values with intervals of one series, by row.

    Attributes:
        title: In the legend.
        rows: Which row each value stands in.
        values: The values.
        low: Lower ends.
        high: Upper ends.
    """

    title: str
    rows: list[str]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def _marked_rows(
    series: Sequence[_Marks], label: str, line_at: float | None = None, *, held: str
) -> Figure:
    """A row for each name, in it a mark for each series; the legend and what is held below."""
    names = list(dict.fromkeys(name for one in series for name in one.rows))
    figure, (axes,) = new_figure()
    foot = foot_height(held, COLUMN_WIDTH)
    legend = 0.145 * ((len(series) + 1) // 2) + foot
    height = _AROUND + _ROW * len(names) + legend
    figure.set_size_inches(COLUMN_WIDTH, height)
    for number, one in enumerate(series):
        shift = min(0.7, 0.14 * len(series)) * (number / max(1, len(series) - 1) - 0.5)
        axes.errorbar(
            one.values,
            np.array([names.index(name) for name in one.rows]) + shift,
            xerr=np.stack([one.values - one.low, one.high - one.values]).clip(0.0),
            linestyle="",
            marker=_SERIES_MARKERS[number % len(_SERIES_MARKERS)],
            markersize=2.6,
            elinewidth=0.7,
            color=PALETTE[_SERIES_COLOURS[number % len(_SERIES_COLOURS)]],
            label=one.title,
        )
    if line_at is not None:
        axes.axvline(line_at, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), [_LABELS.get(name, name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    bottom = (legend + 0.5) / height
    axes.set_position((0.35, bottom, 0.62, 1 - bottom - 0.1 / height))
    figure.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, foot / height),
        ncols=2,
        labelspacing=0.35,
        borderaxespad=0.2,
    )
    write_foot(figure, held, COLUMN_WIDTH, height)
    return figure


def _places(topology: Topology) -> dict[Slot, tuple[float, float]]:
    """Leaves side by side, every other node above the middle of its children."""
    places: dict[Slot, tuple[float, float]] = {}
    leaves = 0

    def place(slot: Slot) -> float:
        nonlocal leaves
        children = [(*slot, rank) for rank in range(topology.num_children(slot))]
        if children:
            middle = float(np.mean([place(child) for child in children]))
        else:
            middle, leaves = float(leaves), leaves + 1
        places[slot] = middle, -float(len(slot))
        return middle

    place(())
    return places
