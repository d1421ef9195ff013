"""Expected speed-up over plain decoding, from tokens per call and what drafts and calls cost.

A call that drafts L levels costs c L for the drafts and t(m) for the target, which verifies m
positions: L + 1 of a path, more of a tree, whose levels are drafted in one step each. Plain
decoding costs 1 a token. So the speed-up is tokens per call over c L + t(m) (Leviathan et al. 2023,
with t = 1). Tokens per call are N / E[calls], which counts the bonus token and where calls start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.paths.call_sums import calls_by_document, resampled_documents
from mdbound.analysis.paths.costs.target_costs import TargetCosts
from mdbound.analysis.paths.path_results import LAW_COLUMNS, RULE_COLUMNS
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.errors import CacheError, InvalidSettingError

Floats = NDArray[np.float64]

_GROUP = (*RULE_COLUMNS, *LAW_COLUMNS)


@dataclass(frozen=True)
class BestLength:
    """The draft length of the largest expected speed-up.

    Attributes:
        length: L.
        low: Lower end of its interval over resampled documents.
        high: Upper end.
    """

    length: int
    low: int
    high: int


@dataclass(frozen=True)
class Speedups:
    """Speed-up of one rule at one draft cost and batch, for every draft length.

    Attributes:
        scheme: The rule.
        laws: Columns of the results that name tree, draft and laws.
        draft_cost: c: a draft step over a target call of one token.
        batch: Batch size of the target's costs.
        lengths: L.
        speedup: By length.
        low: Lower ends of their intervals; NaN for a single document.
        high: Upper ends.
        best: The best length.
    """

    scheme: str
    laws: tuple[object, ...]
    draft_cost: float
    batch: int
    lengths: tuple[int, ...]
    speedup: Floats
    low: Floats
    high: Floats
    best: BestLength


def expected_speedups(
    results: Results,
    draft_costs: Sequence[float],
    target_costs: TargetCosts | None = None,
    bootstrap: Bootstrap | None = None,
) -> list[Speedups]:
    """Speed-ups of every rule that has calls, at every draft cost and batch.

    Args:
        results: From `open_paths`.
        draft_costs: c, each 0 or more.
        target_costs: t; flat when None.
        bootstrap: How intervals are made: documents are resampled, the same for all.

    Raises:
        InvalidSettingError: A draft cost out of range, or a target cost that is missing.
        CacheError: The results hold no calls.
    """
    for cost in draft_costs:
        if not (isfinite(cost) and cost >= 0.0):
            raise InvalidSettingError(f"`draft_cost` {cost}: give finite numbers >= 0")
    if not draft_costs:
        raise InvalidSettingError("`draft_cost` is empty: give one or more numbers")
    costs, how = target_costs or TargetCosts(), bootstrap or Bootstrap()
    rows = results.frame.filter(pl.col("calls") > 0.0).collect()
    if rows.is_empty():
        raise CacheError(f"{results.path} holds no calls; count them for block or single_draft")
    found = []
    for group in rows.partition_by(_GROUP, maintain_order=True):
        lengths, tokens, calls = calls_by_document(group)
        drawn = resampled_documents(len(tokens), how)
        for batch in costs.batches:
            children = group["num_drafts"][0] or 1
            of_target = np.array([costs.of(batch, verified(children, each)) for each in lengths])
            for cost in draft_costs:
                price = cost * np.array(lengths) + of_target
                found.append(
                    _speedups(group, cost, batch, lengths, tokens, calls, price, drawn, how)
                )
    return found


def verified(children: int, depth: int) -> int:
    """Tokens that a call verifies: of a full tree of this depth, and the one that is there.

    Example:
        >>> verified(1, 5), verified(2, 3)
        (6, 15)
    """
    return 1 + sum(int(children**level) for level in range(1, depth + 1))


def _speedups(
    group: pl.DataFrame,
    draft_cost: float,
    batch: int,
    lengths: tuple[int, ...],
    tokens: Floats,
    calls: Floats,
    price: Floats,
    drawn: Floats,
    how: Bootstrap,
) -> Speedups:
    speedup = tokens.sum(axis=0) / calls.sum(axis=0) / price
    low = high = np.full_like(speedup, np.nan)
    best = int(speedup.argmax())
    ends = (lengths[best], lengths[best])
    if len(tokens) > 1:
        with np.errstate(invalid="ignore"):  # resamples without a call at some length
            resampled = np.nan_to_num(drawn @ tokens / (drawn @ calls)) / price
        tail = (1.0 - how.confidence) / 2.0
        low, high = np.quantile(resampled, [tail, 1.0 - tail], axis=0)
        bests = np.array(lengths)[resampled.argmax(axis=1)]
        of_best = np.quantile(bests, [tail, 1.0 - tail], method="nearest")
        ends = (int(of_best[0]), int(of_best[1]))
    return Speedups(
        scheme=group["scheme"][0],
        laws=group.select(*RULE_COLUMNS[1:], *LAW_COLUMNS).row(0),
        draft_cost=draft_cost,
        batch=batch,
        lengths=lengths,
        speedup=speedup,
        low=low,
        high=high,
        best=BestLength(lengths[best], *ends),
    )
