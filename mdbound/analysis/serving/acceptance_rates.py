"""P(the first l drafted tokens are accepted), over calls: what load tests of engines simulate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from mdbound.analysis.paths.path_results import LAW_COLUMNS, RULE_COLUMNS
from mdbound.analysis.solving.results import Results
from mdbound.errors import InvalidSettingError


@dataclass(frozen=True)
class AcceptanceRates:
    """Rates of one rule and draft length.

    Attributes:
        rates: P(tau >= l) of a call, l = 1..L: in [0, 1], not increasing.
        calls: Expected calls that they are the mean over.
        law: Draft, rule and settings, as results name them.
    """

    rates: tuple[float, ...]
    calls: float
    law: Mapping[str, object]

    @property
    def draft_length(self) -> int:
        """L."""
        return len(self.rates)

    @property
    def accept_length(self) -> float:
        """Mean tokens of a call, the one after the accepted ones included.

        Example:
            >>> AcceptanceRates((0.75, 0.5), 10.0, {}).accept_length
            2.25
        """
        return 1.0 + sum(self.rates)


def acceptance_rates(results: Results, where: Mapping[str, object]) -> AcceptanceRates:
    """Pool the calls of all texts of one rule, draft length and setting.

    Weighted by calls, as an engine counts them: over positions the same texts seem to accept more.

    Args:
        results: From `open_paths`.
        where: Columns of the results and the value that is wanted, such as `scheme` and
            `draft_length`.

    Raises:
        InvalidSettingError: Nothing is left, rows without calls, or rows of several settings.
    """
    columns = (*LAW_COLUMNS, *RULE_COLUMNS, "draft_length")
    rows = results.frame
    for name, value in where.items():
        if value is not None:
            rows = rows.filter(pl.col(name) == value)
    found = rows.filter(pl.col("calls") > 0.0).select(*columns, "calls", "tail_calls").collect()
    asked = ", ".join(f"`{name}` {value}" for name, value in where.items() if value is not None)
    if found.is_empty():
        raise InvalidSettingError(
            f"{results.path} holds no calls of {asked}; `mdbound report` lists what it holds"
        )
    laws = found.select(columns).unique(maintain_order=True)
    if laws.height > 1:
        differing = [name for name in columns if laws[name].n_unique() > 1]
        first, other = (laws.row(row, named=True) for row in (0, 1))
        raise InvalidSettingError(
            f"{results.path} holds several of {asked}: they differ in "
            + "; ".join(f"`{name}` ({first[name]}, {other[name]})" for name in differing)
        )
    calls = found["calls"].to_numpy()
    tails = calls @ np.array(found["tail_calls"].to_list()) / calls.sum()
    # Rounding of means must not make a rate rise.
    rates = np.minimum.accumulate(np.clip(tails, 0.0, 1.0))
    law = {name: value for name, value in laws.row(0, named=True).items() if value is not None}
    return AcceptanceRates(tuple(rates.tolist()), float(calls.sum()), law)
