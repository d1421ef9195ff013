"""Where axes and legend stand: by fixed lengths, so that a figure comes out the same every time.

matplotlib's own layout engines move axes by a fraction of a point from one drawing of the same
figure to the next, which changes the bytes of the file.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from mdbound.analysis.figures.style import COLUMN_WIDTH, INK

if TYPE_CHECKING:
    from mdbound.analysis.figures.style import Axes, Figure

# Lengths in inches, for text of 7 to 8 points.
_LEFT_LABEL = 0.26
_LABEL_EDGE = 0.16
_DIGIT = 0.062
_MAP_LEFT = 0.52
_RIGHT = 0.10
_EDGE = 0.05
_TITLE = 0.20
_LINE_OF_TICKS = 0.11
_TICKS = 0.18
_LABEL = 0.17
_BETWEEN = 0.12
_LEGEND_ROW = 0.145

_SMALL = 5.5
_SMALL_LETTER = 0.043
_SMALL_LINE = 0.10
_BESIDE = 0.06

#: Both columns of a two-column paper, in inches.
PAGE_WIDTH = 6.8

#: Panels side by side: more are too narrow for their tick labels.
MOST_COLUMNS = 4

#: Height of a panel unless the figure says otherwise.
PANEL_HEIGHT = 1.15


def new_figure(
    panels: int = 1, *, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a stack of axes, or a row of them; `arrange` puts them in place.

    Args:
        panels: Number of axes.
        share_x: Whether the axes have the same horizontal range; then only the lowest has labels
            there.
        share_y: Whether they show one quantity: then they stand side by side with one vertical
            axis, up to `MOST_COLUMNS` of them in a row, across both columns of a paper.

    Returns:
        The figure, and its axes, row by row.
    """
    from matplotlib.figure import Figure as NewFigure

    columns = min(panels, MOST_COLUMNS) if share_y else 1
    rows = -(-panels // columns)
    figure = NewFigure(figsize=(COLUMN_WIDTH, COLUMN_WIDTH))
    grid = figure.subplots(rows, columns, sharex=share_x, sharey=share_y, squeeze=False)
    axes = list(grid.ravel())
    for left_over in axes[panels:]:
        left_over.remove()
    for each in axes[max(panels - columns, 0) : panels]:
        each.tick_params(labelbottom=True)  # the lowest of its column
    return figure, axes[:panels]


def arrange(
    figure: Figure,
    axes: list[Axes],
    panel_height: float = PANEL_HEIGHT,
    legend_columns: int = 2,
    held: str = "",
) -> None:
    """Put one legend for all axes under them, where it covers no data, and fit the height.

    Args:
        figure: From `new_figure`, with everything drawn.
        axes: Its axes, row by row.
        panel_height: Of each, in inches.
        legend_columns: Columns of the legend; twice as many where the figure is twice as wide.
        held: What is held fixed; stands under the legend, so that the file says it.
    """
    columns = axes[0].get_subplotspec().get_gridspec().ncols
    width = COLUMN_WIDTH if columns == 1 else PAGE_WIDTH
    legend_columns *= 1 if columns == 1 else 2
    handles: dict[str, Any] = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    rows = [axes[start : start + columns] for start in range(0, len(axes), columns)]
    above = [_TITLE if any(each.get_title(loc="left") for each in row) else _EDGE for row in rows]
    below = [max(_room_below(each) for each in row) for row in rows]
    foot = foot_height(held, width)
    legend = -(-len(handles) // legend_columns) * _LEGEND_ROW + 2 * _EDGE
    height = legend + foot + sum(above) + sum(below) + len(rows) * panel_height
    height += (len(rows) - 1) * _BETWEEN
    figure.set_size_inches(width, height)
    firsts = [row[0] for row in rows]
    left = _LEFT_LABEL + _DIGIT * max(_longest_label(each, panel_height) for each in firsts)
    inner = (width - left - columns * _RIGHT - (columns - 1) * _BESIDE) / columns
    top = height
    for row, over, under in zip(rows, above, below, strict=True):
        bottom = top - over - panel_height
        for place, each in enumerate(row):
            start = left + place * (inner + _RIGHT + _BESIDE)
            each.set_position(_share(start, bottom, inner, panel_height, height, width))
            each.yaxis.set_label_coords((_LABEL_EDGE - left) / inner, 0.5)
            if place:
                each.set_ylabel("")
        top = bottom - under - _BETWEEN
    figure.legend(
        *(list(handles.values()), list(handles)),
        loc="lower center",
        bbox_to_anchor=(0.5, foot / height),
        borderaxespad=0.2,
        ncols=legend_columns,
        labelspacing=0.35,
    )
    write_foot(figure, held, width, height)


def foot_height(held: str, width: float) -> float:
    """Inches that `write_foot` takes at the bottom of a figure.

    Example:
        >>> foot_height("", 3.3), foot_height("Held fixed: n = 2.", 3.3) > 0.0
        (0.0, True)
    """
    return len(_foot_lines(held, width)) * _SMALL_LINE


def write_foot(figure: Figure, held: str, width: float, height: float) -> None:
    """Say at the bottom of a figure what it holds fixed, so that the file says it."""
    for number, line in enumerate(reversed(_foot_lines(held, width))):
        # Mathematics is not meant: a name may hold a dollar sign.
        figure.text(
            *(0.5, (number + 0.25) * _SMALL_LINE / height, line.replace("$", r"\$")),
            **{"ha": "center", "va": "bottom", "fontsize": _SMALL, "color": INK},
        )


def _foot_lines(held: str, width: float) -> list[str]:
    return textwrap.wrap(held, int(width / _SMALL_LETTER)) if held else []


def arrange_map(figure: Figure, axes: Axes) -> Axes:
    """Put square axes at the left and return new ones beside them, for a colour bar."""
    side, height = 2.05, 2.55
    bottom = _TICKS + _LABEL + _EDGE
    figure.set_size_inches(COLUMN_WIDTH, height)
    axes.set_position(_share(_MAP_LEFT, bottom, side, side, height))
    shorter = 0.85 * side
    return figure.add_axes(
        _share(_MAP_LEFT + side + 0.10, bottom + (side - shorter) / 2, 0.10, shorter, height)
    )


def _share(
    left: float, bottom: float, width: float, height: float, whole: float, of: float = COLUMN_WIDTH
) -> tuple[float, float, float, float]:
    """A rectangle in inches as shares of a figure of a height and width."""
    return left / of, bottom / whole, width / of, height / whole


def _longest_label(axes: Axes, panel_height: float) -> int:
    """Characters of the longest number beside the vertical axis."""
    # Which numbers stand there depends on the height.
    axes.set_position(_share(0.5, 0.0, 2.0, panel_height, axes.figure.get_figheight()))
    return max(len(label.get_text()) for label in axes.get_yticklabels())


def _room_below(axes: Axes) -> float:
    """Room for tick labels and axis label, which axes that share them have at the bottom only."""
    room = _LABEL if axes.get_xlabel() else 0.0
    labelled = axes.xaxis.get_tick_params().get("labelbottom", True)
    if not labelled:
        return room
    # Formatters of numbers write one line, fixed labels may write more.
    texts = [label.get_text() for label in axes.get_xticklabels()]
    more_lines = max([text.count("\n") for text in texts] or [0])
    return float(room + _TICKS + _LINE_OF_TICKS * more_lines)
