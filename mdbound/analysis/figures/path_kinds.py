"""Figures of tokens per call: against the draft length, by depth, and how lengths are spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mdbound import paths
from mdbound.analysis.figures.drawing import Drawing
from mdbound.analysis.figures.held import held_words
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.style import (
    BAND_OPACITY,
    COLOUR_MAP,
    INK,
    PALETTE,
    LineStyle,
    figure_settings,
)
from mdbound.analysis.paths.costs.speedup import Speedups
from mdbound.analysis.paths.path_results import LAW_COLUMNS
from mdbound.analysis.paths.path_tables import (
    per_call_means,
    per_position_means,
    require_calls,
    rule_title,
)
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.errors import InvalidSettingError, refuse_unknown

if TYPE_CHECKING:
    from mdbound.analysis.figures.style import Axes

_STYLES: Mapping[str, LineStyle] = MappingProxyType(
    {
        "match": LineStyle(PALETTE["grey"], "-.", "^"),
        "single_draft": LineStyle(PALETTE["orange"], "--", "s"),
        "block": LineStyle(INK, "-", "o", width=1.6),
        "asps": LineStyle(PALETTE["sky"], "", "x"),
        "joint": LineStyle(PALETTE["purple"], ":", ""),
    }
)

#: Short, so that two columns of a legend fit one column of a paper.
_LABELS: Mapping[str, str] = MappingProxyType(
    {"match": "match", "single_draft": "SpS", "block": "block", "asps": "ASpS", "joint": "joint"}
)


def rule_style(scheme: str) -> tuple[str, LineStyle]:
    """What figures call a rule of one path, and how they draw it.

    Example:
        >>> rule_style("block")[0]
        'block'
    """
    return _LABELS[scheme], _STYLES[scheme]


@dataclass(frozen=True)
class PathFigure:
    """A figure of a file of `mdbound paths`.

    Attributes:
        name: As `mdbound figure NAME` knows it.
        draw: Draws it.
    """

    name: str
    draw: Callable[[Results, Bootstrap], Drawing]


def draw_path_figure(name: str, results: Results, bootstrap: Bootstrap | None = None) -> Drawing:
    """Draw one figure of tokens per call.

    Args:
        name: One of `PATH_FIGURES`.
        results: From `open_paths`, of one draft at one setting.
        bootstrap: How bands are made.

    Raises:
        InvalidSettingError: There is no such figure, or the results hold several settings.
        MissingDependencyError: matplotlib is not installed.
    """
    refuse_unknown([name], PATH_FIGURES, "figure")
    laws = results.frame.select(LAW_COLUMNS).unique().collect()
    if laws.height > 1:
        raise InvalidSettingError(
            f"{results.path} holds {laws.height} settings of target and draft; a figure shows one: "
            "give `drafts`, `temperatures`, `top_k`, `top_p`, `min_p` and `draft_temperatures` one "
            "value each"
        )
    require_calls(results)
    return PATH_FIGURES[name].draw(results, bootstrap or Bootstrap())


def draw_tokens_per_call(results: Results, bootstrap: Bootstrap) -> Drawing:
    """Tokens per target call against L; below, what a call emits that starts at any position."""
    panels = (
        ("tokens per call", per_call_means(results, bootstrap)),
        ("at any position", per_position_means(results, bootstrap)),
    )
    with figure_settings():
        figure, axes = new_figure(len(panels), share_x=True, share_y=True)
        for each, (title, means) in zip(axes, panels, strict=True):
            for line in _lines(means):
                style = _STYLES[line.scheme]
                band = (line.lengths, line.low, line.high)
                each.fill_between(*band, color=style.colour, alpha=BAND_OPACITY, linewidth=0)
                _plot(each, style, line.lengths, line.mean, line.scheme)
            each.set_title(title)
            each.set_ylabel("tokens")
            each.set_xlabel("drafted tokens $L$")
            each.xaxis.get_major_locator().set_params(integer=True)
        arrange(figure, axes, held=held_words(results))
    return Drawing(
        "tokens-per-call",
        figure,
        "Tokens per target call: all tokens of the texts over the expected calls they take; and "
        "tokens of a call that starts at any position, for all rules and for the best coupling of "
        "drafted path and text (joint), which no stateless rule reaches. Bands: "
        f"{bootstrap.confidence:.0%} bootstrap over documents.",
    )


def draw_accepted_depth(results: Results, bootstrap: Bootstrap) -> Drawing:
    """P(tau >= l) and the law of tau over calls, at the largest L."""
    del bootstrap  # there are no bands
    rows = results.frame.filter(pl.col("calls") > 0.0).collect()
    longest = max(rows["draft_length"], default=0)
    with figure_settings():
        figure, axes = new_figure(2, share_x=True)
        for scheme, group in _groups(rows.filter(pl.col("draft_length") == longest)):
            tails = np.array(group["tail_calls"].to_list())
            tail = np.append(1.0, group["calls"].to_numpy() @ tails / group["calls"].sum())
            style = _STYLES[scheme]
            _plot(axes[0], style, np.arange(longest + 1), tail, scheme)
            law = tail - np.append(tail[1:], 0.0)
            _plot(axes[1], style, np.arange(longest + 1), law, scheme)
        axes[0].set_ylabel(r"$P(\tau \geq l)$")
        axes[1].set_ylabel(r"$P(\tau = l)$")
        axes[1].set_xlabel("accepted drafted tokens $l$")
        axes[1].xaxis.get_major_locator().set_params(integer=True)
        arrange(figure, axes, held=f"{held_words(results)} L = {longest}.")
    return Drawing(
        "accepted-depth",
        figure,
        f"Accepted tokens of a call that drafts {longest}, over expected calls: at least l, and l.",
    )


def _plot(axes: Axes, style: LineStyle, x: object, y: object, scheme: str) -> None:
    axes.plot(
        *(x, y),
        color=style.colour,
        linestyle=style.dashes,
        marker=style.marker,
        linewidth=style.width,
        label=_LABELS[scheme],
    )


@dataclass(frozen=True)
class _Line:
    scheme: str
    lengths: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def _lines(means: pl.DataFrame) -> list[_Line]:
    pooled = means.filter(pl.col("task") == ALL_TASKS)
    lines = []
    for scheme, group in _groups(pooled if not pooled.is_empty() else means):
        ordered = group.sort("draft_length")
        values = (
            ordered[name].cast(pl.Float64).fill_null(np.nan).to_list()
            for name in ("mean", "low", "high")
        )
        lines.append(_Line(scheme, ordered["draft_length"].to_list(), *values))
    return lines


def _groups(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Rows of each rule of one path, in the order of `paths.names()`; trees have no lines."""
    return [
        (name, frame.filter(pl.col("scheme") == name))
        for name in paths.names()
        if (frame["scheme"] == name).any()
    ]


PATH_FIGURES: Mapping[str, PathFigure] = MappingProxyType(
    {
        each.name: each
        for each in (
            PathFigure("tokens-per-call", draw_tokens_per_call),
            PathFigure("accepted-depth", draw_accepted_depth),
        )
    }
)
"""By name."""


def draw_speedup_map(found: Sequence[Speedups]) -> Drawing:
    """Expected speed-up over draft lengths and draft costs, a heat map for each rule.

    Args:
        found: From `expected_speedups`, of one setting and batch, at two draft costs or more.

    Raises:
        InvalidSettingError: Several settings or batches, or one draft cost.
        MissingDependencyError: matplotlib is not installed.
    """
    rules = list(dict.fromkeys(each.scheme for each in found))
    costs = sorted({each.draft_cost for each in found})
    lengths = found[0].lengths
    if len(found) != len(rules) * len(costs) or len(costs) < 2:
        raise InvalidSettingError(
            "a map of speed-ups shows one setting and batch at several values of `draft_cost`"
        )
    values = {(each.scheme, each.draft_cost): each for each in found}
    top = max(float(np.nanmax(each.speedup)) for each in found)
    with figure_settings():
        figure, axes = new_figure(len(rules), share_x=True)
        for each, scheme in zip(axes, rules, strict=True):
            cells = np.array([values[scheme, cost].speedup for cost in costs])
            each.imshow(cells, origin="lower", cmap=COLOUR_MAP, aspect="auto", vmin=0.0, vmax=top)
            for (row, column), value in np.ndenumerate(cells):
                colour = "white" if value < top / 2 else "black"
                best = values[scheme, costs[row]].best.length == lengths[column]
                each.text(
                    *(column, row, f"{value:.2f}"),
                    **{"ha": "center", "va": "center", "color": colour, "fontsize": 6.5},
                    fontweight="bold" if best else "normal",
                )
            each.set_yticks(range(len(costs)), [f"{cost:g}" for cost in costs])
            each.set_xticks(range(len(lengths)), list(map(str, lengths)))
            each.grid(visible=False)
            each.set_title(rule_title(scheme))
            each.set_ylabel("draft cost")
        axes[-1].set_xlabel("drafted tokens $L$")
        arrange(figure, axes, panel_height=0.17 * len(costs) + 0.1)
    return Drawing(
        "speedup",
        figure,
        "Expected speed-up over plain decoding by draft length and cost of a draft step; bold is "
        "the best length at each cost.",
    )
