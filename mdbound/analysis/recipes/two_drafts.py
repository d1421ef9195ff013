"""Two drafts over three tokens: curves, table and figure of Khisti et al. 2025, Figure 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

import mdbound
from mdbound.analysis.figures import Drawing, write_drawing
from mdbound.analysis.figures.layout import arrange, new_figure
from mdbound.analysis.figures.style import figure_settings, scheme_style
from mdbound.analysis.recipes.recipe import TwoDraftCurves
from mdbound.analysis.recipes.two_draft_figure import (
    CURVES,
    FIRST_TOKEN,
    TwoDraftPanel,
    two_draft_panel,
)
from mdbound.analysis.solving.environment import environment
from mdbound.analysis.solving.results import BOUND
from mdbound.analysis.tables.files import rounded, write_frame, write_table, write_text
from mdbound.analysis.tables.table import Interval, Table

_CAPTION = (
    "P(output is one of two i.i.d. drafts), draft q = (1/3, 1/3, 1/3) over three tokens, against "
    "the second token's target probability x; shaded where the optimum is 1"
)


def solve_curves(curves: TwoDraftCurves) -> list[TwoDraftPanel]:
    """Compute both panels."""
    return [two_draft_panel(first, curves.points) for first in FIRST_TOKEN]


def run_facts(folder: Path) -> dict[str, str]:
    """Version and surroundings of the run that made the folder's files.

    Kept from the first run of a version, so that a second one changes nothing.

    Raises:
        OutputError: The folder cannot be written.
    """
    file = folder / "provenance.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found.get("mdbound") == mdbound.__version__:
            return {str(key): str(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError):
        pass
    facts = {"mdbound": mdbound.__version__, **environment()}
    write_text(file, json.dumps(facts, indent=1) + "\n")
    return facts


def curves_table(panels: list[TwoDraftPanel], notes: tuple[str, ...]) -> Table:
    """Where the optimum is 1, and each curve's mean and lowest value over x."""
    rows = []
    for panel in panels:
        reached = panel.x[panel.equals_one]
        span = f"{reached[0]:.4f} to {reached[-1]:.4f}" if len(reached) else "nowhere"
        for name, label in CURVES.items():
            values = panel.acceptance[name]
            ones = span if name == "optimal" else _touches(panel, name)
            cells = (Interval(float(values.mean())), Interval(float(values.min())))
            rows.append(((_target(panel), label, ones), cells))
    return Table(
        caption=f"{_CAPTION}.",
        labels=("target", "scheme", "equals 1 at x"),
        values=("mean over x", "lowest"),
        rows=tuple(rows),
        notes=notes,
        label="tab:khisti2025-figure2",
    )


def draw_curves(panels: list[TwoDraftPanel]) -> Drawing:
    """Draw both panels.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with figure_settings():
        figure, axes = new_figure(len(panels), share_y=True)
        for each, panel in zip(axes, panels, strict=True):
            reached = panel.x[panel.equals_one]
            if len(reached):
                each.axvspan(reached[0], reached[-1], color="#808080", alpha=0.18, linewidth=0)
            for name, label in CURVES.items():
                style = scheme_style(BOUND if name == "optimal" else name)
                each.plot(
                    *(panel.x, panel.acceptance[name]),
                    color=style.colour,
                    linestyle=style.dashes,
                    linewidth=style.width,
                    label=label,
                )
            each.set_title(_target(panel).replace("-", "−"))
            each.set_xlim(0.0, float(panel.x[-1]))
            each.set_ylabel("acceptance")
            each.set_xlabel("$x$")
        held = "Held fixed: n = 2 i.i.d. drafts of q = (1/3, 1/3, 1/3). Grey: the optimum is 1."
        arrange(figure, axes, legend_columns=3, held=held)
    return Drawing(
        "figure2", figure, f"{_CAPTION}. Exact values; the distributions are the paper's."
    )


def write_curves(panels: list[TwoDraftPanel], folder: Path, notes: tuple[str, ...]) -> list[Path]:
    """Write every point (CSV, Parquet), the table and the figure.

    Raises:
        OutputError: The folder cannot be written.
    """
    points = pl.concat(
        pl.DataFrame(
            {
                "first": str(panel.first),
                "x": panel.x,
                **panel.acceptance,
                "equals_one": panel.equals_one,
            }
        )
        for panel in panels
    )
    return [
        *write_frame(rounded(points), folder, "curves", (f"{_CAPTION}.", *notes)),
        *write_table(curves_table(panels, notes), folder, "figure2"),
        *write_drawing(draw_curves(panels), folder),
    ]


def _target(panel: TwoDraftPanel) -> str:
    return f"p = ({panel.first}, x, {1 - panel.first} - x)"


def _touches(panel: TwoDraftPanel, name: str) -> str:
    reached = panel.x[panel.acceptance[name] >= 1.0 - 1e-12]
    return ", ".join(f"{x:.4f}" for x in np.unique(reached)) or "nowhere"
