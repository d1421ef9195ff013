"""Acceptance of two i.i.d. drafts over a three-token vocabulary: Khisti et al. 2025, Figure 2.

The draft is uniform. The target is (1/3, x, 2/3 - x) on one side and (1/6, x, 5/6 - x) on the
other. The optimum is 1 over a range of x, where p(H) >= q(H)^2 for every H (their Theorem 2), and
SpecTr and SpecInfer reach it at one point or nowhere. (They write the target as q and the draft
as p.)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds, schemes
from mdbound.errors import InvalidSettingError, MissingDependencyError, OutputError

FIRST_TOKEN = (Fraction(1, 3), Fraction(1, 6))
"""Target probability of the first token in the two panels."""

CURVES = {
    "optimal": "Optimal",
    "k_seq": "SpecTr (K-SEQ)",
    "rrs_with_replacement": "SpecInfer (RRS)",
}
"""Columns of a panel and their names in the legend."""

SUFFIXES = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class TwoDraftPanel:
    """Acceptance against x for the target (first, x, 1 - first - x) and a uniform draft.

    Attributes:
        first: Target probability of the first token.
        x: Target probability of the second token, shape (P,).
        acceptance: P(output is one of the two drafts) by name in `CURVES`, shape (P,) each.
        equals_one: Where the optimum is 1, shape (P,), bool.
    """

    first: Fraction
    x: NDArray[np.float64]
    acceptance: dict[str, NDArray[np.float64]]
    equals_one: NDArray[np.bool_]


def two_draft_panel(first: Fraction, points: int = 241) -> TwoDraftPanel:
    """Compute one panel.

    Args:
        first: Target probability of the first token, in [0, 1).
        points: Values of x, evenly spaced over all that are possible.

    Raises:
        InvalidSettingError: `first` is outside [0, 1), or fewer than 2 points.

    Example:
        >>> panel = two_draft_panel(Fraction(1, 3), points=3)
        >>> panel.x.round(3).tolist(), panel.acceptance["optimal"].round(3).tolist()
        ([0.0, 0.333, 0.667], [0.889, 1.0, 0.889])
    """
    if not 0 <= first < 1:
        raise InvalidSettingError(f"`first` {first}: give a probability below 1")
    if points < 2:
        raise InvalidSettingError(f"`points` {points}: give at least 2")
    rest = float(1 - first)
    x = np.linspace(0.0, rest, points)
    target = np.column_stack([np.full(points, float(first)), x, rest - x])
    draft = np.full(3, 1.0 / 3.0)
    acceptance = {"optimal": np.asarray(bounds.two_draft_acceptance(target, draft))}
    for name in CURVES:
        if name != "optimal":
            rates = schemes.get(name).acceptance(target, draft, 2)
            acceptance[name] = np.asarray(rates.membership)
    # Ends of the range, where the optimum touches 1, are hit only up to rounding.
    return TwoDraftPanel(first, x, acceptance, acceptance["optimal"] >= 1.0 - 1e-12)


def write_two_draft_figure(out: Path | str, points: int = 241) -> Path:
    """Draw both panels into a file.

    Args:
        out: File to write; its suffix says the format: .png, .pdf or .svg.
        points: Values of x per panel.

    Returns:
        The path written.

    Raises:
        InvalidSettingError: Another suffix, or fewer than 2 points.
        MissingDependencyError: matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise InvalidSettingError(f"`out` {out}: give a file ending in {', '.join(SUFFIXES)}")
    panels = [two_draft_panel(first, points) for first in FIRST_TOKEN]
    figure = _draw(panels)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=200, metadata={"Date": None} if out.suffix == ".svg" else None)
    except OSError as error:
        raise OutputError(
            f"`out` {out}: {error.strerror or error}; choose another place"
        ) from error
    return out


def _draw(panels: list[TwoDraftPanel]) -> Any:
    try:
        figure_type = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise MissingDependencyError("figures need matplotlib: install mdbound[plots]") from error
    # A figure of its own, without pyplot: no global state and no display.
    figure = figure_type(figsize=(7.0, 3.1), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    styles = dict(zip(CURVES, ("-", "--", ":"), strict=True))
    for axis, panel in zip(axes, panels, strict=True):
        if panel.equals_one.any():
            reached = panel.x[panel.equals_one]
            axis.axvspan(reached[0], reached[-1], color="0.88", lw=0, label="optimum is 1")
        for name, label in CURVES.items():
            axis.plot(panel.x, panel.acceptance[name], styles[name], lw=1.6, label=label)
        axis.set_title(f"p = ({panel.first}, x, {1 - panel.first} − x)", fontsize=10)
        axis.set_xlabel("x")
        axis.set_xlim(panel.x[0], panel.x[-1])
    axes[0].set_ylabel("P(output is one of 2 drafts)")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, fontsize=8, ncols=4, loc="outside lower center")
    figure.suptitle("Two i.i.d. drafts from q = (1/3, 1/3, 1/3)", fontsize=10)
    return figure
