"""A figure that was drawn, and what every figure can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mdbound.analysis.solving.results import SETTING_COLUMNS, Results
from mdbound.analysis.solving.scheme_settings import refuse_ambiguous_schemes
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.errors import refuse_unknown


@dataclass(frozen=True)
class FigureOptions:
    """What to draw of the results.

    Attributes:
        bootstrap: How bands are made: over documents.
        where: Column of the results to the values kept, such as `{"num_drafts": (2,)}`.

    Example:
        >>> FigureOptions(where={"temprature": (1.0,)})
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: `where`: column 'temprature' is unknown: did you
        mean 'temperature'? It can be task, scheme, sampling, draft, temperature,
        draft_temperatures, top_k, top_p, min_p, vocabulary_size, vocabulary_of, num_drafts
    """

    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown(self.where, ("task", *SETTING_COLUMNS), "`where`: column")
        refuse_ambiguous_schemes(self.where)


@dataclass(frozen=True)
class Drawing:
    """A figure with its name and what it shows.

    Attributes:
        name: Of its files, without ending.
        figure: A `matplotlib.figure.Figure`.
        caption: What is shown, and what is held fixed.
    """

    name: str
    figure: Any
    caption: str


@dataclass(frozen=True)
class FigureKind:
    """One kind of figure.

    Attributes:
        name: As `mdbound figure NAME` knows it.
        summary: What it shows, in a few words.
        lacks: Given the settings of results (one row each), what keeps them from being drawn so,
            or None when they can be.
        draw: Draws it.
    """

    name: str
    summary: str
    lacks: Callable[[pl.DataFrame], str | None]
    draw: Callable[[Results, FigureOptions], Drawing]
