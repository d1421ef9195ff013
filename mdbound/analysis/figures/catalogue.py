"""Every kind of figure that results can be drawn as."""

from __future__ import annotations

from collections.abc import Mapping

from mdbound.analysis.figures.drawing import Drawing, FigureKind, FigureOptions
from mdbound.analysis.figures.kinds import (
    acceptance_by_drafts,
    acceptance_by_entropy,
    acceptance_by_vocabulary,
    draft_temperature_map,
    gap_by_temperature,
    position_distribution,
    second_draft_temperature,
)
from mdbound.analysis.figures.slices import settings_of
from mdbound.analysis.solving.results import Results
from mdbound.errors import InvalidSettingError, refuse_unknown

#: By name, in the order of a report.
FIGURES: Mapping[str, FigureKind] = {
    kind.name: kind
    for kind in (
        acceptance_by_drafts.KIND,
        gap_by_temperature.KIND,
        acceptance_by_vocabulary.KIND,
        position_distribution.KIND,
        acceptance_by_entropy.KIND,
        draft_temperature_map.KIND,
        second_draft_temperature.KIND,
    )
}


def draw(name: str, results: Results, options: FigureOptions | None = None) -> Drawing:
    """Draw one kind of figure.

    Args:
        name: One of `FIGURES`.
        results: From `mdbound.analysis.solving.results.open_results`.
        options: What of them; everything when None.

    Raises:
        InvalidSettingError: There is no such figure, or the results lack what it shows.
        MissingDependencyError: matplotlib is not installed.
    """
    refuse_unknown([name], FIGURES, "figure")
    options = options or FigureOptions()
    missing = FIGURES[name].lacks(settings_of(results, options))
    if missing:
        raise InvalidSettingError(f"figure {name}: {results.path} holds {missing}")
    return FIGURES[name].draw(results, options)


def draw_all(results: Results, options: FigureOptions | None = None) -> list[Drawing]:
    """Draw every kind of figure that the results hold enough for."""
    options = options or FigureOptions()
    settings = settings_of(results, options)
    kinds = [kind for kind in FIGURES.values() if kind.lacks(settings) is None]
    return [kind.draw(results, options) for kind in kinds]
