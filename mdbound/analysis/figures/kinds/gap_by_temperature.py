"""Gap to the bound against temperature, per scheme."""

from __future__ import annotations

import polars as pl

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.lines import draw_lines, mean_lines
from mdbound.analysis.figures.slices import band_words, take_slice, varies
from mdbound.analysis.figures.style import figure_settings
from mdbound.analysis.solving.results import BOUND, Results
from mdbound.analysis.tables.comparison import paired_rows

_NAME = "gap"


def draw_gap(results: Results, options: FigureOptions) -> Drawing:
    """Draw, for each scheme, the bound of its draft law minus its rate.

    Args:
        results: What to draw.
        options: What of it.

    Raises:
        InvalidSettingError: `where` leaves nothing.
        MissingDependencyError: matplotlib is not installed.
    """
    part = take_slice(results, options, {"temperature"})
    lines = mean_lines(paired_rows(part.rows), "temperature", options.bootstrap, "gap")
    with figure_settings():
        figure, (axes,) = new_figure()
        # Two temperatures say nothing of those between them.
        few = max(len(line.x) for line in lines) <= 2
        draw_lines(axes, lines, joined=not few)
        if few:
            axes.set_xticks(sorted({float(x) for line in lines for x in line.x}))
        axes.set_xlabel("temperature")
        axes.set_ylabel("bound − scheme")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        arrange(figure, [axes], held=part.fixed)
    return Drawing(
        _NAME,
        figure,
        "Gap between the bound of the draft law and the rate of a scheme, mean over positions, "
        "taken position by position. "
        f"{band_words(part, options.bootstrap)} {part.fixed}",
    )


def _lacks(settings: pl.DataFrame) -> str | None:
    if settings["scheme"].unique().to_list() == [BOUND]:
        return "no schemes; solve with `schemes` all"
    if not varies(settings, "temperature"):
        return "one temperature only; solve for several, as in `temperatures` 0.6,1.0"
    return None


KIND = FigureKind(_NAME, "gap to the bound against temperature, per scheme", _lacks, draw_gap)
