"""Lines with bands: means over positions against one setting, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.figures.style import (
    BAND_OPACITY,
    LineStyle,
    law_style,
    scheme_style,
)
from mdbound.analysis.solving.results import BOUND
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import task_means
from mdbound.analysis.tables.files import rounded
from mdbound.analysis.tables.names import law_name, scheme_name

if TYPE_CHECKING:
    from mdbound.analysis.figures.style import Axes

Floats = NDArray[np.float64]
_LINE = ["sampling", "scheme"]


@dataclass(frozen=True)
class Line:
    """Points of one scheme, or of the bound, under one draft law.

    Attributes:
        sampling: Draft law.
        scheme: A scheme, or `"bound"`.
        x: Where the points are, ascending.
        mean: Their height.
        low: Lower end of the band; NaN where there is none.
        high: Upper end.
    """

    sampling: str
    scheme: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def mean_lines(
    rows: pl.LazyFrame,
    x: str,
    bootstrap: Bootstrap,
    value: str = "acceptance",
    per: str | None = None,
) -> list[Line]:
    """Average a column at each value of another, for each draft law and scheme.

    Args:
        rows: Of a slice, or others with its columns.
        x: Column of numbers, the horizontal axis.
        bootstrap: How bands are made.
        value: Column to average.
        per: Column whose sum the sum of `value` is divided by; the number of rows when None.

    Returns:
        A line per law and scheme, bounds first, in the order of tables.
    """
    means = rounded(task_means(rows, value, [*_LINE, x], bootstrap, per))
    lines = [_line(group.sort(x), x) for group in means.partition_by(_LINE)]
    return sorted(lines, key=_place)


def _place(line: Line) -> tuple[bool, int, int, str]:
    from mdbound import bounds, schemes

    laws, names = list(bounds.SAMPLING_LAWS), schemes.names()
    law = laws.index(line.sampling) if line.sampling in laws else len(laws)
    scheme = names.index(line.scheme) if line.scheme in names else len(names)
    return line.scheme != BOUND, law, scheme, line.scheme


def law_panels(lines: Sequence[Line], most: int = 0) -> list[tuple[str, list[Line]]]:
    """Split lines into panels with titles: one per draft law, where one for all is too full.

    Args:
        lines: Bounds and schemes. Bounds alone stay together, to be compared.
        most: Lines that one panel holds, when there are schemes.
    """
    laws = dict.fromkeys(line.sampling for line in lines)
    if len(lines) <= most or len(laws) == 1 or all(line.scheme == BOUND for line in lines):
        return [("", list(lines))]
    return [
        (law.replace("_", " "), [line for line in lines if line.sampling == law]) for law in laws
    ]


def _line(group: pl.DataFrame, x: str) -> Line:
    columns = (
        group[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in (x, "mean", "low", "high")
    )
    return Line(group["sampling"][0], group["scheme"][0], *columns)


#: Difference of means below which one line hides another, as a share of the range of values.
HIDDEN = 5e-3


def draw_lines(
    axes: Axes,
    lines: Sequence[Line],
    place: Callable[[Floats], Floats] = lambda x: x,
    *,
    marks: bool = True,
    joined: bool = True,
    steps: bool = False,
) -> None:
    """Draw lines with their bands, labelled for the legend.

    Args:
        axes: Where to.
        lines: All lines of these axes. One that lies on another has rings for marks, so that both
            are seen.
        place: Maps values to places on the axis.
        marks: Whether to mark the points; too many marks make a thick line.
        joined: Whether points are joined; if not, they have bars, side by side.
        steps: Whether a line keeps its height until its next point.
    """
    for number, line in enumerate(lines):
        style, label = _look(line, lines)
        if any(_hides(before, line) for before in lines[:number]):
            style = replace(style, hollow=True)
        if joined:
            _draw_joined(axes, line, place(line.x), style, label, marks, steps)
        else:
            _draw_bars(axes, line, place(line.x), style, label, number - (len(lines) - 1) / 2)


def _draw_joined(
    axes: Axes, line: Line, x: Floats, style: LineStyle, label: str, marks: bool, steps: bool
) -> None:
    after = "post" if steps else None
    axes.fill_between(
        x, line.low, line.high, color=style.colour, alpha=BAND_OPACITY, linewidth=0, step=after
    )
    axes.plot(
        *(x, line.mean),
        color=style.colour,
        linestyle=style.dashes,
        drawstyle="steps-post" if steps else "default",
        marker=(style.marker or "o") if marks else "",
        linewidth=style.width,
        markersize=5.0 if style.hollow else 3.2,
        markerfacecolor="none" if style.hollow else style.colour,
        label=label,
    )


def _draw_bars(
    axes: Axes, line: Line, x: Floats, style: LineStyle, label: str, beside: float
) -> None:
    """Points with bars, moved aside by a share of the distance between points."""
    apart = float(np.diff(line.x).min()) if len(line.x) > 1 else 1.0
    bars = np.abs(np.nan_to_num(np.stack([line.mean - line.low, line.high - line.mean])))
    axes.errorbar(
        *(x + 0.04 * apart * beside, line.mean, bars),
        color=style.colour,
        linestyle="",
        marker=style.marker or "o",
        markerfacecolor="none" if style.hollow else style.colour,
        elinewidth=0.9,
        label=label,
    )


def _hides(before: Line, line: Line) -> bool:
    """Whether a line lies on one that was drawn before it."""
    places = np.searchsorted(before.x, line.x)
    if len(places) == 0 or places[-1] >= len(before.x) or (before.x[places] != line.x).any():
        return False
    span = float(np.nanmax(before.mean) - min(np.nanmin(before.mean), 0.0)) or 1.0
    return float(np.nanmax(np.abs(before.mean[places] - line.mean))) < HIDDEN * span


def _look(line: Line, lines: Sequence[Line]) -> tuple[LineStyle, str]:
    """Style and label: laws tell bounds apart, names tell schemes apart."""
    laws = {each.sampling for each in lines}
    if line.scheme == BOUND and len(laws) > 1:
        return law_style(line.sampling), f"bound, {law_name(line.sampling)}"
    if line.scheme == BOUND:
        return scheme_style(BOUND), "bound"
    label, style = scheme_name(line.scheme), scheme_style(line.scheme)
    same = [each.sampling for each in lines if each.scheme == line.scheme]
    if len(same) == 1:
        return style, label
    if same[0] != line.sampling:
        style = replace(style, width=style.width / 2, hollow=True)
    return style, f"{label}, {law_name(line.sampling)}"
