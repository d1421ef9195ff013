"""Where axes and legend stand: by fixed lengths, so that a figure comes out the same every time.

matplotlib's own layout engines move axes by a fraction of a point from one drawing of the same
figure to the next, which changes the bytes of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdbound.analysis.figures.style import COLUMN_WIDTH

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

#: Height of a panel unless the figure says otherwise.
PANEL_HEIGHT = 1.15


def new_figure(panels: int = 1, *, share_x: bool = False) -> tuple[Figure, list[Axes]]:
    """Make a figure one column wide with a stack of axes; `arrange` puts them in place.

    Args:
        panels: Number of axes.
        share_x: Whether the axes have the same horizontal range; then only the lowest has labels
            there.

    Returns:
        The figure, and its axes from top to bottom.
    """
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(COLUMN_WIDTH, COLUMN_WIDTH))
    axes = figure.subplots(panels, 1, sharex=share_x, squeeze=False)[:, 0]
    return figure, list(axes)


def arrange(
    figure: Figure, axes: list[Axes], panel_height: float = PANEL_HEIGHT, legend_columns: int = 2
) -> None:
    """Put one legend for all axes under them, where it covers no data, and fit the height.

    Args:
        figure: From `new_figure`, with everything drawn.
        axes: Its axes from top to bottom.
        panel_height: Of each, in inches.
        legend_columns: Columns of the legend.
    """
    handles: dict[str, Any] = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    rows = -(-len(handles) // legend_columns)
    above = [_TITLE if each.get_title(loc="left") else _EDGE for each in axes]
    below = [_room_below(each) for each in axes]
    legend = rows * _LEGEND_ROW + 2 * _EDGE
    height = legend + sum(above) + sum(below) + len(axes) * panel_height
    height += (len(axes) - 1) * _BETWEEN
    figure.set_size_inches(COLUMN_WIDTH, height)
    left = _LEFT_LABEL + _DIGIT * max(_longest_label(each, panel_height) for each in axes)
    top = height
    for each, over, under in zip(axes, above, below, strict=True):
        bottom = top - over - panel_height
        width = COLUMN_WIDTH - left - _RIGHT
        each.set_position(_share(left, bottom, width, panel_height, height))
        each.yaxis.set_label_coords((_LABEL_EDGE - left) / width, 0.5)
        top = bottom - under - _BETWEEN
    figure.legend(
        *(list(handles.values()), list(handles)),
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=0.2,
        ncols=legend_columns,
        labelspacing=0.35,
    )


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
    left: float, bottom: float, width: float, height: float, whole: float
) -> tuple[float, float, float, float]:
    """A rectangle in inches as shares of a figure of a height."""
    return left / COLUMN_WIDTH, bottom / whole, width / COLUMN_WIDTH, height / whole


def _longest_label(axes: Axes, panel_height: float) -> int:
    """Characters of the longest number beside the vertical axis."""
    # Which numbers stand there depends on the height.
    axes.set_position(_share(0.5, 0.0, 2.0, panel_height, axes.figure.get_figheight()))
    return max(len(label.get_text()) for label in axes.get_yticklabels())


def _room_below(axes: Axes) -> float:
    """Room for tick labels and axis label, which shared axes have at the bottom only."""
    room = _LABEL if axes.get_xlabel() else 0.0
    labelled = axes.xaxis.get_tick_params().get("labelbottom", True)
    if not labelled:
        return room
    # Formatters of numbers write one line, fixed labels may write more.
    texts = [label.get_text() for label in axes.get_xticklabels()]
    more_lines = max([text.count("\n") for text in texts] or [0])
    return float(room + _TICKS + _LINE_OF_TICKS * more_lines)
