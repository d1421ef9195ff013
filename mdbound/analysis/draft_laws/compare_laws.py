"""From a capture to what each way of drafting is worth, over target and draft temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds
from mdbound.analysis.draft_laws.ways import WAYS
from mdbound.analysis.statistics.bootstrap import Bootstrap, ratio_intervals
from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.logits_cache.store.cache import LogitsCache

Floats = NDArray[np.float64]
Logits = NDArray[np.floating[Any]]

LARGEST_N = 64


@dataclass(frozen=True)
class LawGrid:
    """What to compare.

    Attributes:
        num_drafts: Numbers of drafts, increasing.
        temperatures: Of the target.
        draft_temperatures: Of the draft; None for the target's.
        draft: A draft of the capture; empty for its first.
        batch_rows: Positions in memory at a time.
    """

    num_drafts: tuple[int, ...] = (1, 2, 3, 4)
    temperatures: tuple[float, ...] = (1.0,)
    draft_temperatures: tuple[float | None, ...] = (None,)
    draft: str = ""
    batch_rows: int = 64

    def __post_init__(self) -> None:
        if not self.num_drafts or not 1 <= max(self.num_drafts) <= LARGEST_N:
            raise InvalidSettingError(f"`num_drafts` {self.num_drafts}: give 1 to {LARGEST_N}")
        if self.batch_rows < 1:
            raise InvalidSettingError(f"`batch_rows` {self.batch_rows}: give 1 or more")


@dataclass(frozen=True)
class WayRates:
    """One way of drafting at one pair of temperatures.

    Attributes:
        way: A name in `WAYS`.
        temperature: Of the target.
        draft_temperature: Of the draft.
        mean: Mean rate over positions for each n of the grid.
        low: Lower end of its interval over documents; NaN where there is none.
        high: Upper end.
    """

    way: str
    temperature: float
    draft_temperature: float
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def compare_laws(
    cache: LogitsCache,
    grid: LawGrid,
    how: Bootstrap | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[WayRates]:
    """Rates of every way of `WAYS`, with intervals over documents.

    Memory holds a batch, and sums of each document.

    Args:
        cache: The capture.
        grid: What to compare.
        how: How intervals are made.
        on_progress: Called with positions done, of how many.

    Raises:
        InvalidSettingError: There is no such draft, or a temperature is out of range.
        InvalidDistributionError: Logits that no distribution can be made of.
        CacheError: The capture is unfinished, damaged, or has no draft.
    """
    cache.require_finished()
    if not cache.draft_names:
        raise InvalidSettingError("the cache holds no draft model; add one with `add_drafts`")
    draft = grid.draft or cache.draft_names[0]
    refuse_unknown([draft], cache.draft_names, "`drafts`")
    cells = [(t, t if d is None else d) for t in grid.temperatures for d in grid.draft_temperatures]
    cells = list(dict.fromkeys(cells))
    sums, counts = _sums(cache, draft, cells, grid, on_progress)
    groups = sums.reshape(-1, sums.shape[-1])  # (cells x ways x n, documents)
    positions = np.broadcast_to(counts, groups.shape)
    mean, low, high = ratio_intervals(groups, positions, positions > 0, how or Bootstrap())
    shape = sums.shape[:3]
    ends = [each.reshape(shape) for each in (mean, low, high)]
    return [
        WayRates(name, t, d, *(tuple(each[c, w].tolist()) for each in ends))
        for c, (t, d) in enumerate(cells)
        for w, name in enumerate(WAYS)
    ]


def _sums(
    cache: LogitsCache,
    draft: str,
    cells: list[tuple[float, float]],
    grid: LawGrid,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[Floats, Floats]:
    """Sums of rates of each document, (cells, ways, n, documents), and its positions."""
    found: dict[int, Floats] = {}
    counts: dict[int, int] = {}
    chosen = np.array(grid.num_drafts) - 1
    done = 0
    for batch in cache.iter_batches(models=["target", draft], batch_rows=grid.batch_rows):
        rates = _rates(batch.logits["target"], batch.logits[draft], cells, max(grid.num_drafts))
        ids = batch.positions["doc_id"].to_numpy()
        for doc in np.unique(ids):
            here = ids == doc
            total = rates[:, :, here][..., chosen].sum(axis=2)
            found[int(doc)] = found.get(int(doc), 0.0) + total
            counts[int(doc)] = counts.get(int(doc), 0) + int(here.sum())
        done += len(ids)
        if on_progress is not None:
            on_progress(done, cache.num_positions)
    return np.stack(list(found.values()), axis=-1), np.array(list(counts.values()), dtype=float)


def _rates(target: Logits, draft: Logits, cells: list[tuple[float, float]], most: int) -> Floats:
    """(cells, ways, B, N)."""
    found = []
    for of_target, of_draft in cells:
        p = np.asarray(bounds.distribution_from_logits(target, temperature=of_target))
        q = np.asarray(bounds.distribution_from_logits(draft, temperature=of_draft))
        found.append(np.stack([rates(p, q, draft, most) for rates in WAYS.values()]))
    return np.stack(found)
