"""Masses of p and q in buckets of the ratio p/q, with no sort.

Every bucket edge is a prefix of the order q/p descending. What fills the buckets decides how a
token's place is found: `fill_from_probabilities` here reads it off the bits of p/q, which rise
with the ratio as its logarithm does; `buckets_from_logits` off a difference of
logits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.numerics.cell_sums import LANES, add_to_cell
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.fused_softmax import block_sum
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.numerics.vector_exp import bits_of_float, float_of_bits
from mdbound.bounds.problem.array_types import FloatArray, IntArray

BucketIndex = npt.NDArray[np.uint16]

LOWEST_LOG_RATIO = -9.0
"""Below this ln(p/q) all tokens share the first bucket: an optimum seldom lies there."""

LEAST_LOG_RATIO = -700.0
"""The same where an optimum does lie there: what is still lower is looked at token by token."""

EDGE_SLACK = 1e-9
"""Relative allowance on a bucket's range of ratios for the rounding of bucket numbers."""

MAX_BUCKETS = 2048
"""More hold fewer tokens each, which are then searched faster; but there are more cells to fill and
more edges to compare."""

TOKENS_PER_BUCKET = 96
"""Aim for the number of buckets: fewer cost more tokens to look at, more cost more edges."""

LARGEST_RATIO = 1e300
"""Stands for an infinite ratio: it can be multiplied by a mass and compared."""

TOKENS = 64
"""Tokens placed and then scattered at a time: few enough for the processor to overlap the two."""

SPAN = 8 * TOKENS
"""Tokens whose sums are plain; sums of spans are compensated."""

SPAN_ROUNDINGS = SPAN / 2 + 2.0
"""Roundings of a bucket's sum when the cells are folded after each span: every other token of it
goes to the same cell."""

TOTAL_ROUNDINGS = SPAN / TOKENS + TOKENS + 2.0
"""Roundings of a total: sums of every 64th token of a span, their sum, and a compensated one."""


class Buckets(NamedTuple):
    """Masses per bucket of one row, and which bucket each token went to.

    Attributes:
        bucket_of: bucket of each token, shape (V,).
        target: p of each bucket, shape (buckets,).
        draft: q of each bucket.
        tokens: how many tokens each bucket holds.
        edges: ratio p/q at the edges, shape (buckets + 1,), from 0 to (practically) infinity.
        totals: p and q of all tokens, summed apart from the buckets, shape (2,).
        lost: what rounding has taken from p and q of each bucket, shape (2, buckets).
        cells: two cells per bucket, for even and odd tokens: sums not folded into the above yet.
    """

    bucket_of: BucketIndex
    target: FloatArray
    draft: FloatArray
    tokens: IntArray
    edges: FloatArray
    totals: FloatArray
    lost: FloatArray
    cells: FloatArray


@kernel
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


@kernel
def new_buckets(vocab_size: int) -> Buckets:
    """Room for the buckets of rows of this vocabulary size, to be reused from row to row.

    Example:
        >>> len(new_buckets(1000).tokens)
        16
    """
    buckets = number_of_buckets(vocab_size)
    return Buckets(
        np.empty(vocab_size, dtype=np.uint16),
        np.empty(buckets),
        np.empty(buckets),
        np.empty(buckets, dtype=np.int64),
        np.empty(buckets + 1),
        np.empty(2),
        np.empty((2, buckets)),
        np.empty(2 * LANES * buckets),
    )


@njit(inline="always")
def scatter_block(
    p: FloatArray, q: FloatArray, places: npt.NDArray[np.int32], cells: FloatArray
) -> None:
    """Add a block of tokens to the cells of their buckets.

    Even and odd tokens have cells of their own: one sum alone would wait for itself where
    neighbours share a bucket. Unsigned indices spare the check for negative ones.

    Example:
        >>> cells, places = np.zeros(2 * LANES), np.zeros(TOKENS, dtype=np.int32)
        >>> scatter_block(np.full(TOKENS, 0.5), np.full(TOKENS, 0.25), places, cells)
        >>> cells.reshape(2, LANES).tolist()
        [[16.0, 8.0, 32.0, 0.0], [16.0, 8.0, 32.0, 0.0]]
    """
    for j in range(0, TOKENS, 2):
        add_to_cell(cells, np.uintp(2) * np.uintp(places[j]), p[j], q[j])
        odd = np.uintp(2) * np.uintp(places[j + 1]) + np.uintp(1)
        add_to_cell(cells, odd, p[j + 1], q[j + 1])


@kernel
def clear(buckets: Buckets) -> None:
    """Empty all buckets but for `bucket_of`; inner edges are left to whoever fills them."""
    buckets.target[:] = 0.0
    buckets.draft[:] = 0.0
    buckets.tokens[:] = 0
    buckets.totals[:] = 0.0
    buckets.lost[:] = 0.0
    buckets.cells[:] = 0.0
    buckets.edges[0] = 0.0
    buckets.edges[-1] = LARGEST_RATIO


@kernel
def fold(buckets: Buckets) -> None:
    """Move the sums in the cells to the buckets, compensated."""
    cells, lost = buckets.cells, buckets.lost
    for b in range(len(buckets.tokens)):
        even, odd = 2 * b * LANES, (2 * b + 1) * LANES
        p, q = cells[even] + cells[odd], cells[even + 1] + cells[odd + 1]
        buckets.tokens[b] += np.int64(cells[even + 2] + cells[odd + 2])
        buckets.target[b], lost[0, b] = compensated_add(buckets.target[b], lost[0, b], p)
        buckets.draft[b], lost[1, b] = compensated_add(buckets.draft[b], lost[1, b], q)
    cells[:] = 0.0


@kernel
def add_to_totals(
    p_sums: FloatArray, q_sums: FloatArray, totals: FloatArray, lost: tuple[float, float]
) -> tuple[float, float]:
    """Add sums of every 64th token of a span to the totals; what rounding has lost so far."""
    totals[0], lost_p = compensated_add(totals[0], lost[0], block_sum(p_sums))
    totals[1], lost_q = compensated_add(totals[1], lost[1], block_sum(q_sums))
    return lost_p, lost_q


@kernel
def close(buckets: Buckets, lost: tuple[float, float], padding: int) -> None:
    """Fold what is left and add what rounding has lost.

    Args:
        buckets: filled.
        lost: from `add_to_totals`.
        padding: tokens of mass 0 that were put into the last bucket to fill a block.
    """
    fold(buckets)
    for b in range(len(buckets.target)):
        buckets.target[b] += buckets.lost[0, b]
        buckets.draft[b] += buckets.lost[1, b]
    buckets.totals[0] += lost[0]
    buckets.totals[1] += lost[1]
    buckets.tokens[-1] -= padding


@kernel
def fill_from_probabilities(
    target: FloatArray,
    draft: FloatArray,
    log_lowest: float,
    max_drafts: int,
    compensated: bool,
    buckets: Buckets,
) -> None:
    """Fill buckets with p and q as given; the edges are ratios p/q.

    The position of a token is read off the bits of p/q, which rise with the ratio as its
    logarithm to base 2 does, linearly between powers of two. Tokens of zero draft probability go
    to the last bucket.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).
        log_lowest: ln(p/q) below which tokens share the first bucket.
        max_drafts: N.
        compensated: leave `SPAN_ROUNDINGS` in each bucket's sum instead of one per token.
        buckets: overwritten.

    Example:
        >>> buckets, p, q = new_buckets(2), np.array([0.5, 0.5]), np.array([1.0, 0.0])
        >>> fill_from_probabilities(p, q, -9.0, 1, False, buckets)
        >>> int(buckets.tokens[-1]), float(buckets.target[-1]), buckets.totals.tolist()
        (1, 0.5, [1.0, 1.0])
    """
    clear(buckets)
    bins = len(buckets.tokens)
    lowest = bits_of_float(math.exp(log_lowest))
    width = (bits_of_float(2.0 * max_drafts) - lowest) // bins + 1
    for b in range(1, bins):
        buckets.edges[b] = float_of_bits(lowest + b * width)
    p, q, places = np.empty(TOKENS), np.empty(TOKENS), np.empty(TOKENS, dtype=np.int32)
    p_sums, q_sums = np.empty(TOKENS), np.empty(TOKENS)
    lost = (0.0, 0.0)
    size = len(target)
    for first in range(0, size, SPAN):
        p_sums[:] = 0.0
        q_sums[:] = 0.0
        for start in range(first, min(first + SPAN, size), TOKENS):
            stop = min(start + TOKENS, size)
            _load(target[start:stop], p)
            _load(draft[start:stop], q)
            for j in range(TOKENS):
                # Adding 0 makes -0 positive.
                place = (bits_of_float(p[j] / q[j] + 0.0) - lowest) // width if q[j] > 0.0 else bins
                places[j] = min(max(place, 0), bins - 1)
            for j in range(stop - start):
                buckets.bucket_of[start + j] = places[j]
            for j in range(TOKENS):
                p_sums[j] += p[j]
                q_sums[j] += q[j]
            scatter_block(p, q, places, buckets.cells)
        lost = add_to_totals(p_sums, q_sums, buckets.totals, lost)
        if compensated:
            fold(buckets)
    close(buckets, lost, -size % TOKENS)


@kernel
def _load(values: FloatArray, block: FloatArray) -> None:
    """Copy up to `TOKENS` values, the rest is 0."""
    for i in range(len(values)):
        block[i] = values[i]
    for i in range(len(values), len(block)):
        block[i] = 0.0
