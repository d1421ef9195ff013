"""Tokens in buckets of the ratio p/q, filled while the softmax is computed.

log(p/q) is a difference of logits up to a constant, so the masses of p and q per bucket come out
of the pass that computes the exponentials, with no sort. Every bucket edge is a prefix of the
order q/p descending. For probabilities given as such, the bits of p/q read as an integer stand
in for the logarithm: they rise with the ratio.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.fused_softmax import BLOCK, LogitsRow, block_sum, exp_block
from mdbound.bounds.summation import compensated_add
from mdbound.bounds.vector_exp import bits_of_float, float_of_bits, vector_exp

IntArray = npt.NDArray[np.int64]
BucketIndex = npt.NDArray[np.uint16]

LOWEST_LOG_RATIO = -9.0
"""Below this ln(p/q) all tokens share the first bucket: an optimum seldom lies there, and one
that does is still found, by looking at that bucket token by token."""

EDGE_SLACK = 1e-9
"""Relative allowance on a bucket's range of ratios for the rounding of bucket numbers."""

MAX_BUCKETS = 2048

TOKENS_PER_BUCKET = 64
"""Aim for the number of buckets: fewer cost more tokens to look at, more cost more edges."""

SHIFT_MARGIN = 1.5
"""Allowance, in ln(p/q), for a sample that missed likely tokens."""

LARGEST_RATIO = 1e300
"""Stands for an infinite ratio: it can be multiplied by a mass and compared."""

SAMPLE_STRIDE = 32
"""One block of tokens in so many places the buckets; no value depends on the sample."""


class Buckets(NamedTuple):
    """Masses per bucket of one row, and which bucket each token went to.

    Attributes:
        bucket_of: bucket of each token, shape (V,).
        masses: p and q of each bucket, interleaved, shape (2 * buckets,).
        tokens: how many tokens each bucket holds.
        edges: ratio p/q at the edges, shape (buckets + 1,), from 0 to (practically) infinity.
        totals: p and q of all tokens, summed apart from the buckets, shape (2,).
    """

    bucket_of: BucketIndex
    masses: FloatArray
    tokens: IntArray
    edges: FloatArray
    totals: FloatArray


@njit(cache=True, nogil=True)
def number_of_buckets(vocab_size: int) -> int:
    """About one bucket per `TOKENS_PER_BUCKET` tokens, a power of two from 16 to `MAX_BUCKETS`.

    Example:
        >>> number_of_buckets(32_000), number_of_buckets(151_936)
        (512, 2048)
    """
    buckets = 16
    while buckets < MAX_BUCKETS and buckets * TOKENS_PER_BUCKET < vocab_size:
        buckets *= 2
    return buckets


@njit(cache=True, nogil=True)
def new_buckets(vocab_size: int) -> Buckets:
    """Empty buckets for rows of this vocabulary size, to be reused from row to row.

    Example:
        >>> len(new_buckets(1000).tokens)
        16
    """
    buckets = number_of_buckets(vocab_size)
    return Buckets(
        np.empty(vocab_size, dtype=np.uint16),
        np.zeros(2 * buckets),
        np.zeros(buckets, dtype=np.int64),
        np.zeros(buckets + 1),
        np.zeros(2),
    )


@njit(cache=True, nogil=True)
def _scatter(p: FloatArray, q: FloatArray, places: npt.NDArray[np.int32], buckets: Buckets) -> None:
    # Unsigned indices spare the check for negative ones.
    masses, tokens = buckets.masses, buckets.tokens
    for i in range(len(places)):
        b = np.uintp(places[i])
        masses[b * np.uintp(2)] += p[i]
        masses[b * np.uintp(2) + np.uintp(1)] += q[i]
        tokens[b] += 1


@njit(cache=True, nogil=True)
def _scatter_compensated(
    p: FloatArray,
    q: FloatArray,
    places: npt.NDArray[np.int32],
    buckets: Buckets,
    lost: FloatArray,
) -> None:
    """As `_scatter`, with what rounding loses from each sum collected in `lost`."""
    for i in range(len(places)):
        b = np.int64(places[i])
        buckets.tokens[b] += 1
        for side in range(2):
            x = p[i] if side == 0 else q[i]
            k = 2 * b + side
            buckets.masses[k], lost[k] = compensated_add(buckets.masses[k], lost[k], x)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _exp_and_place(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    offset: float,
    scale: float,
    last: float,
    p: FloatArray,
    q: FloatArray,
    places: npt.NDArray[np.int32],
    bucket_of: BucketIndex,
) -> None:
    for i in range(len(target)):
        log_p = (target[i] - largest[0]) * inverse[0]
        log_q = (draft[i] - largest[1]) * inverse[1]
        p[i] = vector_exp(log_p)
        q[i] = vector_exp(log_q)
        place = (log_p - log_q) * scale + offset
        # In this order a NaN (both logits -inf) goes to the last bucket, with masses 0.
        place = place if place < last else last
        place = place if place > 0.0 else 0.0
        places[i] = np.int32(place)
    for i in range(len(places)):
        bucket_of[i] = np.uint16(places[i])


@njit(cache=True, nogil=True, fastmath={"nnan", "reassoc"})
def _sampled_range(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
) -> tuple[float, float]:
    """Least and largest finite difference of scaled logits in one block of 32."""
    least, most = LARGEST_RATIO, -LARGEST_RATIO
    for start in range(0, len(target), BLOCK * SAMPLE_STRIDE):
        for i in range(start, min(start + BLOCK, len(target))):
            difference = (target[i] - largest[0]) * inverse[0]
            difference -= (draft[i] - largest[1]) * inverse[1]
            least = min(least, difference)
            most = max(most, difference)
    return least, most


@njit(cache=True, nogil=True)
def _sampled_log_total(
    logits: LogitsRow, largest: float, inverse: float, values: FloatArray
) -> float:
    """Rough ln of the sum of exp((logits - largest) * inverse), from one block in 32."""
    total = 0.0
    span = BLOCK * SAMPLE_STRIDE
    for start in range(0, len(logits), span):
        stop = min(start + BLOCK, len(logits))
        exp_block(logits[start:stop], largest, inverse, values[: stop - start])
        share = min(span, len(logits) - start) / (stop - start)
        total += share * block_sum(values[: stop - start])
    return math.log(max(total, 1.0))


@njit(cache=True, nogil=True)
def sampled_log_shift(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
) -> float:
    """Rough ln of the ratio of the totals of target and draft, for `fill_from_logits`.

    Args:
        target: logits, shape (V,).
        draft: logits, shape (V,).
        largest: largest logit of each.
        inverse: inverse temperature of each.
    """
    values = np.empty(BLOCK)
    shift = _sampled_log_total(target, largest[0], inverse[0], values)
    return shift - _sampled_log_total(draft, largest[1], inverse[1], values)


@njit(cache=True, nogil=True)
def _log_ratio_range(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    log_shift: float,
    max_drafts: int,
) -> tuple[float, float]:
    """Range of log_p - log_q (not normalised) that the inner buckets share.

    From `LOWEST_LOG_RATIO` to above ln(max_drafts), beyond which no token is ever in an optimal
    set, as far as sampled tokens lie there.
    """
    lowest = LOWEST_LOG_RATIO + log_shift
    highest = math.log(max_drafts) + SHIFT_MARGIN + log_shift
    least, most = _sampled_range(target, draft, largest, inverse)
    if least < most and least < highest and most > lowest and most - least < LARGEST_RATIO:
        margin = 0.1 * (most - least)
        lowest, highest = max(lowest, least - margin), min(highest, most + margin)
    return lowest, max(highest, lowest + 1e-3)


@njit(cache=True, nogil=True)
def fill_from_logits(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    log_shift: float,
    max_drafts: int,
    compensated: bool,
    buckets: Buckets,
) -> None:
    """Fill buckets with the masses exp((logits - largest) * inverse), not normalised.

    The edges are ratios of these same masses. A sample of the tokens places them; what the
    buckets hold is exact wherever they are.

    Args:
        target: logits, shape (V,).
        draft: logits, shape (V,).
        largest: largest logit of each.
        inverse: inverse temperature of each.
        log_shift: about ln of the ratio of the two totals; a bad guess costs time only.
        max_drafts: N.
        compensated: sum each bucket to an ulp instead of to its number of tokens in ulps.
        buckets: overwritten.
    """
    _clear(buckets)
    lost = np.zeros(len(buckets.masses) if compensated else 0)
    work = np.empty((2, BLOCK))
    places = np.empty(BLOCK, dtype=np.int32)
    bins = len(buckets.tokens)
    lowest, highest = _log_ratio_range(target, draft, largest, inverse, log_shift, max_drafts)
    scale = bins / (highest - lowest)
    _put_edges(lowest, scale, highest, buckets.edges)
    lost_totals = (0.0, 0.0)
    for start in range(0, len(target), BLOCK):
        stop = min(start + BLOCK, len(target))
        p, q, block_places = (
            work[0, : stop - start],
            work[1, : stop - start],
            places[: stop - start],
        )
        _exp_and_place(
            target[start:stop],
            draft[start:stop],
            largest,
            inverse,
            -lowest * scale,
            scale,
            bins - 1.0,
            p,
            q,
            block_places,
            buckets.bucket_of[start:stop],
        )
        lost_totals = _add_to_totals(p, q, buckets, lost_totals)
        if compensated:
            _scatter_compensated(p, q, block_places, buckets, lost)
        else:
            _scatter(p, q, block_places, buckets)
    _close(buckets, lost, lost_totals)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _put_edges(lowest: float, scale: float, highest: float, edges: FloatArray) -> None:
    largest = math.exp(highest)
    for b in range(1, len(edges) - 1):
        edges[b] = largest * vector_exp(lowest + b / scale - highest)


@njit(cache=True, nogil=True)
def _clear(buckets: Buckets) -> None:
    buckets.masses[:] = 0.0
    buckets.tokens[:] = 0
    buckets.totals[:] = 0.0
    buckets.edges[0] = 0.0
    buckets.edges[-1] = LARGEST_RATIO


@njit(cache=True, nogil=True)
def _add_to_totals(
    p: FloatArray, q: FloatArray, buckets: Buckets, lost: tuple[float, float]
) -> tuple[float, float]:
    totals = buckets.totals
    totals[0], lost_p = compensated_add(totals[0], lost[0], block_sum(p))
    totals[1], lost_q = compensated_add(totals[1], lost[1], block_sum(q))
    return lost_p, lost_q


@njit(cache=True, nogil=True)
def _close(buckets: Buckets, lost: FloatArray, lost_totals: tuple[float, float]) -> None:
    buckets.totals[0] += lost_totals[0]
    buckets.totals[1] += lost_totals[1]
    if len(lost) > 0:
        buckets.masses[:] += lost


@njit(cache=True, nogil=True)
def fill_from_probabilities(
    target: FloatArray, draft: FloatArray, max_drafts: int, compensated: bool, buckets: Buckets
) -> None:
    """Fill buckets with p and q as given; the edges are ratios p/q.

    The position of a token is read off the bits of p/q, which rise with the ratio as its
    logarithm to base 2 does, linearly between powers of two. Tokens of zero draft probability go
    to the last bucket.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).
        max_drafts: N.
        compensated: as in `fill_from_logits`.
        buckets: overwritten.
    """
    _clear(buckets)
    lost = np.zeros(len(buckets.masses) if compensated else 0)
    places = np.empty(BLOCK, dtype=np.int32)
    bins = len(buckets.tokens)
    lowest = bits_of_float(math.exp(LOWEST_LOG_RATIO))
    width = (bits_of_float(2.0 * max_drafts) - lowest) // bins + 1
    for b in range(1, bins):
        buckets.edges[b] = float_of_bits(lowest + b * width)
    lost_totals = (0.0, 0.0)
    for start in range(0, len(target), BLOCK):
        stop = min(start + BLOCK, len(target))
        p, q, block_places = target[start:stop], draft[start:stop], places[: stop - start]
        for i in range(stop - start):
            place = bins - 1
            if q[i] > 0.0:
                place = (bits_of_float(p[i] / q[i]) - lowest) // width
            block_places[i] = min(max(place, 0), bins - 1)
        buckets.bucket_of[start:stop] = block_places
        lost_totals = _add_to_totals(p, q, buckets, lost_totals)
        if compensated:
            _scatter_compensated(p, q, block_places, buckets, lost)
        else:
            _scatter(p, q, block_places, buckets)
    _close(buckets, lost, lost_totals)
