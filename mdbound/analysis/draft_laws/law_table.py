"""Ways of drafting as a table, and as a figure against n."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.analysis.draft_laws.compare_laws import WayRates
from mdbound.analysis.draft_laws.ways import WAYS
from mdbound.analysis.figures.drawing import Drawing
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.style import (
    BAND_OPACITY,
    INK,
    PALETTE,
    LineStyle,
    figure_settings,
    law_style,
)
from mdbound.analysis.tables.table import Interval, Row, Table

_LOOKS = dict(
    zip(
        WAYS,
        (
            ("fixed set", LineStyle(PALETTE["grey"], "-.", "^")),
            ("exact match", LineStyle(PALETTE["orange"], ":", "v")),
            ("with repl.", law_style("with_replacement")),
            ("without repl.", law_style("without_replacement")),
            ("greedy", law_style("greedy")),
        ),
        strict=True,
    )
)
"""What a legend calls each way, and how it is drawn."""


def _by_cell(found: Sequence[WayRates]) -> dict[tuple[float, float], list[WayRates]]:
    """Rates by target and draft temperature."""
    cells: dict[tuple[float, float], list[WayRates]] = {}
    for each in found:
        cells.setdefault((each.temperature, each.draft_temperature), []).append(each)
    return cells


def law_table(
    found: Sequence[WayRates], num_drafts: Sequence[int], notes: Sequence[str] = ()
) -> Table:
    """Lay out rates, a row per temperatures and way, best and second best of each n marked.

    Args:
        found: Of `compare_laws`.
        num_drafts: The n of the columns.
        notes: Provenance.
    """
    rows: list[Row] = []
    for temperatures, rivals in _by_cell(found).items():
        for each in rivals:
            ends = enumerate(zip(each.mean, each.low, each.high, strict=True))
            cells = tuple(
                Interval.of(mean, low, high, _rank(mean, [one.mean[k] for one in rivals]))
                for k, (mean, low, high) in ends
            )
            rows.append(((*(f"{value:g}" for value in temperatures), each.way), cells))
    return Table(
        caption="Probability that the output token is one of n drafted tokens, by the way they are "
        "drafted. Of drawn drafts the optimum over all lossless rules, and exact match; of a fixed "
        "set the target's mass on it, which no rule changes.",
        labels=("target temperature", "draft temperature", "drafting"),
        values=tuple(f"n = {n}" for n in num_drafts),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _rank(mean: float, rivals: Sequence[float]) -> int | None:
    shown = sorted({round(value, 9) for value in rivals}, reverse=True)
    place = shown.index(round(mean, 9)) + 1
    return place if place <= 2 and len(shown) > 2 else None


def draw_laws(found: Sequence[WayRates], num_drafts: Sequence[int], held: str = "") -> Drawing:
    """A panel for each pair of temperatures, a line for each way of drafting.

    Args:
        found: Of `compare_laws`.
        num_drafts: The n of the axis.
        held: What is held fixed, for the file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    cells = _by_cell(found)
    x = np.array(num_drafts)
    with figure_settings():
        figure, axes = new_figure(len(cells), share_x=True, share_y=True)
        for panel, (cell, ways) in zip(axes, cells.items(), strict=True):
            for each in ways:
                label, style = _LOOKS[each.way]
                panel.fill_between(
                    x, each.low, each.high, color=style.colour, alpha=BAND_OPACITY, linewidth=0
                )
                panel.plot(
                    x,
                    each.mean,
                    color=style.colour,
                    linestyle=style.dashes,
                    marker=style.marker,
                    linewidth=style.width,
                    label=label,
                )
            panel.set_title(f"target {cell[0]:g}, draft {cell[1]:g}", color=INK)
            panel.set_ylabel("acceptance")
            panel.set_xlabel("drafted tokens $n$")
            panel.xaxis.get_major_locator().set_params(integer=True)
        arrange(figure, axes, held=held)
    return Drawing(
        "draft-laws",
        figure,
        "Acceptance of n drafted tokens by the way they are drafted, a panel for each pair of "
        "temperatures. Bands: bootstrap over documents.",
    )
