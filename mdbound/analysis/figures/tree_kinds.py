"""Figures of draft trees: a topology, and the gaps of verifiers to the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mdbound.analysis.figures.drawing import Drawing
from mdbound.analysis.figures.layout import new_figure
from mdbound.analysis.figures.style import COLUMN_WIDTH, INK, PALETTE, figure_settings
from mdbound.analysis.trees.gap_series import Series
from mdbound.trees import Topology
from mdbound.trees.topologies.topology import Slot

if TYPE_CHECKING:
    from mdbound.analysis.figures.style import Axes

#: Short, so that rows leave room for the marks in one column of a paper.
_LABELS = {
    "carried": "optimum, carried",
    "depth_bound": "bound by depth",
    "nss": "NSS",
    "first_draft": "first draft",
    "rrs_with_replacement": "RRS",
    "optimal_per_node": "optimal per node",
    "top_down_optimum": "best node by node",
    "block_first_path": "block, first path",
    "gbv": "GBV",
    "quantile": "quantile",
    "traversal": "traversal",
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
    names = list(dict.fromkeys(frame["value"]))
    groups = frame.partition_by(
        "generator", "vocab_size", "length", "num_paths", maintain_order=True
    )
    with figure_settings():
        figure, (axes,) = new_figure()
        height = _AROUND + _ROW * len(names) + 0.145 * ((len(groups) + 1) // 2)
        figure.set_size_inches(COLUMN_WIDTH, height)
        for number, group in enumerate(groups):
            _plot_series(axes, number, len(groups), group, names)
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(names)), [_LABELS[name] for name in names])
        axes.invert_yaxis()
        axes.set_xlabel(r"missing to the optimum, in $E\,\tau$")
        legend = 0.145 * ((len(groups) + 1) // 2) + 0.1
        axes.set_position((0.35, (legend + 0.4) / height, 0.62, 1 - (legend + 0.5) / height))
        figure.legend(loc="lower center", ncols=2, labelspacing=0.35, borderaxespad=0.2)
    return Drawing(
        "tree-gap",
        figure,
        "What verifiers miss to the best verifier that leaves a fresh target behind, mean over "
        f"{frame['instances'][0]} random models of each kind (seed {seed}) with two standard "
        "errors. Left of the line: the best that may carry state, and the bound by depth.",
    )


def _plot_series(
    axes: Axes, number: int, count: int, group: pl.DataFrame, names: list[str]
) -> None:
    first = group.row(0, named=True)
    title = Series(first["generator"], first["vocab_size"], first["length"], first["num_paths"])
    shift = 0.7 * (number / max(1, count - 1) - 0.5)
    rows = np.array([names.index(name) for name in group["value"]]) + shift
    axes.errorbar(
        group["gap"].to_numpy(),
        rows,
        xerr=2.0 * group["standard_error"].to_numpy(),
        linestyle="",
        marker=_SERIES_MARKERS[number % len(_SERIES_MARKERS)],
        markersize=2.6,
        elinewidth=0.7,
        color=PALETTE[_SERIES_COLOURS[number % len(_SERIES_COLOURS)]],
        label=title.title,
    )


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
