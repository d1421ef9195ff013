"""Intervals of ratios of sums, by resampling whole documents.

Positions of one document are correlated, so the document is what is resampled.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.errors import InvalidSettingError

Floats = NDArray[np.float64]

#: Below this many documents a percentile interval is too narrow to be relied on.
FEW_DOCUMENTS = 20

#: Document counts are drawn in batches of this many numbers (32 MB): smaller batches spare memory,
#: larger ones spare calls.
_BATCH_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: percentile bootstrap over documents, `scipy.stats.bootstrap`.

    Attributes:
        resamples: Number of resamples of the documents.
        confidence: Two-sided level, in (0, 1).
        seed: Seed of the resampling; the same for every group, so that groups are paired.
    """

    resamples: int = 9999
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise InvalidSettingError(f"`resamples` {self.resamples}: give at least 100")
        if not 0.0 < self.confidence < 1.0:
            raise InvalidSettingError(f"`confidence` {self.confidence}: give a level in (0, 1)")
        if self.seed < 0:
            raise InvalidSettingError(f"`seed` {self.seed}: give 0 or more")


def ratio_intervals(
    numerator: Floats, denominator: Floats, has_document: NDArray[np.bool_], how: Bootstrap
) -> tuple[Floats, Floats, Floats]:
    """Ratio of sums over documents with its interval; (G, D) arrays to three (G,) arrays.

    Both means are such ratios: sum of values over number of positions, and sum of document
    means over number of documents. NaN where there is no document, or no interval.
    """
    ratio = _divided(numerator.sum(axis=1), denominator.sum(axis=1))
    low, high = np.full_like(ratio, np.nan), np.full_like(ratio, np.nan)
    # Only the documents that a group has are resampled.
    patterns, pattern_of = np.unique(has_document, axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        if pattern.sum() >= 2:
            rows = pattern_of.ravel() == index
            at = np.ix_(rows, pattern)
            low[rows], high[rows] = _resampled_interval(numerator[at], denominator[at], how)
    return ratio, low, high


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    quotient = np.full_like(denominator, np.nan)
    return np.divide(numerator, denominator, out=quotient, where=denominator > 0)


def _resampled_interval(
    numerator: Floats, denominator: Floats, how: Bootstrap
) -> tuple[Floats, Floats]:
    from scipy.stats import DegenerateDataWarning, bootstrap

    groups, documents = numerator.shape

    def ratio(drawn: NDArray[np.int64], axis: int) -> Floats:  # noqa: ARG001  (scipy passes it)
        # How often each document was drawn, so that all groups share one matrix product.
        rows = np.arange(len(drawn))[:, None] * documents
        times = np.bincount((rows + drawn).ravel(), minlength=len(drawn) * documents)
        times = times.reshape(len(drawn), documents).astype(np.float64)
        return _divided(numerator @ times.T, denominator @ times.T)

    with warnings.catch_warnings():
        # A group with too little below the line has resamples without a ratio: no interval then.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        interval = bootstrap(
            (np.arange(documents),),
            ratio,
            vectorized=True,
            n_resamples=how.resamples,
            batch=max(1, _BATCH_NUMBERS // max(documents, groups)),
            confidence_level=how.confidence,
            method="percentile",
            rng=np.random.default_rng(how.seed),
        ).confidence_interval
    return interval.low, interval.high
