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

#: Below this many documents an interval is wide, and its ends are themselves uncertain.
FEW_DOCUMENTS = 20

#: Fewer documents are hardly ever drawn so that they differ: their resamples have no scores.
FEWEST_RESAMPLED = 5

WIDEST = 4.0
"""Largest quantile of a studentised mean, in those of Student's t. Skewed samples reach 2; without
a limit a group in which two documents of twenty differ gets an interval from 0 to 1."""

#: Document counts are drawn in batches of this many numbers (32 MB): smaller batches spare memory,
#: larger ones spare calls.
_BATCH_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: studentised bootstrap over documents.

    Below `FEWEST_RESAMPLED` documents by Student's t. Intervals of 95 % cover 95 % at 8, 20 and 60
    documents (`tests/analysis/statistics/test_coverage.py`), where percentiles covered 89, 92, 94.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, section 12.5; no library at hand
    has it.

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
    numerator: Floats,
    denominator: Floats,
    has_document: NDArray[np.bool_],
    how: Bootstrap,
    *,
    clip_shares: bool = True,
) -> tuple[Floats, Floats, Floats]:
    """Ratio of sums over documents with its interval; (G, D) arrays to three (G,) arrays.

    Both means are such ratios: sum of values over number of positions, and sum of document
    means over number of documents. NaN where there is no document, or no interval. Values that all
    lie in [0, 1] are taken for shares, whose intervals end there, unless `clip_shares` is False.
    """
    ratio = _divided(numerator.sum(axis=1), denominator.sum(axis=1))
    low, high = np.full_like(ratio, np.nan), np.full_like(ratio, np.nan)
    # Only the documents that a group has are resampled.
    patterns, pattern_of = np.unique(has_document, axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        if pattern.sum() >= 2:
            rows = pattern_of.ravel() == index
            at = np.ix_(rows, pattern)
            low[rows], high[rows] = _resampled_interval(
                numerator[at], denominator[at], how, clip_shares
            )
    return ratio, low, high


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    quotient = np.full_like(denominator, np.nan)
    return np.divide(numerator, denominator, out=quotient, where=denominator > 0)


def _resampled_interval(
    numerator: Floats, denominator: Floats, how: Bootstrap, clip_shares: bool = True
) -> tuple[Floats, Floats]:
    """Studentised: quantiles of (ratio of a resample - ratio) / its own standard error.

    Percentiles of the ratio cover too seldom where documents are few, since a resample of few
    varies less than a draw of as many; each resample's own standard error makes up for it.
    """
    documents = numerator.shape[1]
    moments = _Moments.of(numerator, denominator)
    ratio, error = moments.ratios(np.ones((1, documents)))
    low, high = _studentised(moments, ratio, documents, how)
    # Where all documents agree there is nothing to resample.
    low, high = (np.where(error[:, 0] > 0.0, end, 0.0) for end in (low, high))
    ends = ratio[:, 0] - high * error[:, 0], ratio[:, 0] - low * error[:, 0]
    shares = clip_shares & (numerator >= 0.0).all(axis=1) & (numerator <= denominator).all(axis=1)
    clipped = (np.where(shares, np.clip(end, 0.0, 1.0), end) for end in ends)
    lower, upper = clipped
    return lower, upper


def _studentised(
    moments: _Moments, ratio: Floats, documents: int, how: Bootstrap
) -> tuple[Floats, Floats]:
    """Lower and upper quantile of the studentised ratio for each group, (G,)."""
    from scipy.stats import t

    tail = (1.0 - how.confidence) / 2.0
    quantile = float(t.ppf(1.0 - tail, documents - 1))
    if documents < FEWEST_RESAMPLED:
        return np.full(len(ratio), -quantile), np.full(len(ratio), quantile)
    rng = np.random.default_rng(how.seed)
    scores = np.empty((len(ratio), how.resamples))
    batch = max(1, _BATCH_NUMBERS // max(documents, len(ratio)))
    for start in range(0, how.resamples, batch):
        count = min(batch, how.resamples - start)
        drawn = rng.integers(0, documents, size=(count, documents))
        # How often each document was drawn, so that all groups share the matrix products.
        rows = np.arange(count)[:, None] * documents
        times = np.bincount((rows + drawn).ravel(), minlength=count * documents)
        found, error = moments.ratios(times.reshape(count, documents).astype(np.float64))
        # A resample in which all documents agree has no score, nor has one without a ratio.
        scores[:, start : start + count] = _divided(found - ratio, error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a group without any score has no ends
        low, high = np.nanquantile(scores, [tail, 1.0 - tail], axis=1)
    # Where all but a few documents agree, resamples without these few have next to no error.
    widest = WIDEST * quantile
    return np.maximum(low, -widest), np.minimum(high, widest)


@dataclass(frozen=True)
class _Moments:
    """Sums over documents that a ratio and its standard error are made of; (G, D) each."""

    above: Floats
    below: Floats
    above_above: Floats
    above_below: Floats
    below_below: Floats

    @classmethod
    def of(cls, numerator: Floats, denominator: Floats) -> _Moments:
        return cls(numerator, denominator, numerator**2, numerator * denominator, denominator**2)

    def ratios(self, times: Floats) -> tuple[Floats, Floats]:
        """Ratio and its standard error (linearised) for each resample, (G, R); times is (R, D)."""
        above, below, squares, products, weights = (
            each @ times.T
            for each in (
                *(self.above, self.below),
                *(self.above_above, self.above_below, self.below_below),
            )
        )
        ratio = _divided(above, below)
        count = times.shape[1]
        spread = squares - 2.0 * ratio * products + ratio**2 * weights
        # Rounding of sums that cancel is no spread.
        noise = 1e-12 * (squares + ratio**2 * weights)
        spread = np.where(spread > noise, spread, 0.0) * (count / (count - 1))
        return ratio, _divided(np.sqrt(spread), below)
