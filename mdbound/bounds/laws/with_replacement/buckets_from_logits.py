"""Buckets of the ratio p/q filled while the softmax is computed.

log(p/q) is a difference of logits up to a constant, so the masses of p and q per bucket come out
of the pass that computes the exponentials.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.with_replacement.buckets import (
    LARGEST_RATIO,
    SPAN,
    TOKENS,
    BucketIndex,
    Buckets,
    add_to_totals,
    clear,
    close,
    fold,
    scatter_block,
)
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.fused_softmax import BLOCK, block_sum, exp_block
from mdbound.bounds.numerics.vector_exp import vector_exp
from mdbound.bounds.problem.array_types import FloatArray, LogitsRow

SHIFT_MARGIN = 1.5
"""Allowance, in ln(p/q), for a sample that missed likely tokens."""

SAMPLE_STRIDE = 32
"""One block of tokens in so many places the buckets; no value depends on the sample."""


class Placement(NamedTuple):
    """Which range of ratios the inner buckets share.

    Attributes:
        log_shift: about ln of the ratio of the totals of target and draft.
        lowest: ln(p/q) below which tokens share the first bucket.
        sampled: whether the range is narrowed to that of a sample of the tokens.
    """

    log_shift: float
    lowest: float
    sampled: bool


class Placing(NamedTuple):
    """The bucket of a log-ratio: log-ratio * scale + offset, from 0 to last."""

    scale: float
    offset: float
    last: float


@kernel(fastmath={"contract"})
def _fill_blocks(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    placing: Placing,
    compensated: bool,
    buckets: Buckets,
    bucket_of: BucketIndex,
    lost: tuple[float, float],
) -> tuple[float, float]:
    """Exponentials, buckets and sums of whole blocks of `TOKENS`; what rounding has lost.

    The exponentials of a block are vector arithmetic, its scattering loads and stores: in blocks
    this short the processor works on both at once. The scratch is allocated here because only
    then the compiler knows that it overlaps nothing.
    """
    p, q, places = np.empty(TOKENS), np.empty(TOKENS), np.empty(TOKENS, dtype=np.int32)
    p_sums, q_sums = np.zeros(TOKENS), np.zeros(TOKENS)
    scale, offset, last = placing.scale, placing.offset, placing.last
    cells = buckets.cells
    # Written as a multiple of `TOKENS`, or the compiler fears an index beyond the end.
    for start in range(0, len(target) // TOKENS * TOKENS, TOKENS):
        for j in range(TOKENS):
            log_p = (target[start + j] - largest[0]) * inverse[0]
            log_q = (draft[start + j] - largest[1]) * inverse[1]
            p[j] = vector_exp(log_p)
            q[j] = vector_exp(log_q)
            place = (log_p - log_q) * scale + offset
            # What cannot be drafted goes to the last bucket, and so does what is not a number.
            place = place if place < last and q[j] > 0.0 else last
            place = place if place > 0.0 else 0.0
            places[j] = np.int32(place)
        for j in range(TOKENS):
            bucket_of[start + j] = np.uint16(places[j])
            p_sums[j] += p[j]
            q_sums[j] += q[j]
        scatter_block(p, q, places, cells)
        if (start + TOKENS) % SPAN == 0 or start + TOKENS == len(target):
            lost = add_to_totals(p_sums, q_sums, buckets.totals, lost)
            p_sums[:] = 0.0
            q_sums[:] = 0.0
            if compensated:
                fold(buckets)
    return lost


@kernel
def _sampled_range(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
) -> tuple[float, float]:
    """Least and largest difference of scaled logits in one block of 32."""
    least, most = LARGEST_RATIO, -LARGEST_RATIO
    for start in range(0, len(target), BLOCK * SAMPLE_STRIDE):
        for i in range(start, min(start + BLOCK, len(target))):
            difference = (target[i] - largest[0]) * inverse[0]
            difference -= (draft[i] - largest[1]) * inverse[1]
            least = min(least, difference)
            most = max(most, difference)
    return least, most


@kernel
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


@kernel
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

    Example:
        >>> row = np.zeros(3, dtype=np.float32)
        >>> sampled_log_shift(row, row, (0.0, 0.0), (1.0, 1.0))
        0.0
    """
    values = np.empty(BLOCK)
    shift = _sampled_log_total(target, largest[0], inverse[0], values)
    return shift - _sampled_log_total(draft, largest[1], inverse[1], values)


@kernel
def _log_ratio_range(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    placement: Placement,
    max_drafts: int,
) -> tuple[float, float]:
    """Range of log_p - log_q (not normalised) that the inner buckets share.

    From the placement's lowest to above ln(max_drafts), beyond which no token is ever in an
    optimal set, as far as sampled tokens lie there.
    """
    lowest = placement.lowest + placement.log_shift
    highest = math.log(max_drafts) + SHIFT_MARGIN + placement.log_shift
    if not placement.sampled:
        return lowest, highest
    least, most = _sampled_range(target, draft, largest, inverse)
    if least < most and least < highest and most > lowest and most - least < LARGEST_RATIO:
        margin = 0.1 * (most - least)
        lowest, highest = max(lowest, least - margin), min(highest, most + margin)
    return lowest, max(highest, lowest + 1e-3)


# Long: the blocks and what is left behind the last are filled alike, with one scratch.
@kernel
def fill_from_logits(
    target: LogitsRow,
    draft: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    placement: Placement,
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
        placement: where the buckets are; a bad guess costs time only.
        max_drafts: N.
        compensated: leave `SPAN_ROUNDINGS` in each bucket's sum instead of one per token.
        buckets: overwritten.

    Example:
        >>> from mdbound.bounds.laws.with_replacement.buckets import new_buckets
        >>> buckets, row = new_buckets(3), np.zeros(3, dtype=np.float32)
        >>> placement = Placement(0.0, -9.0, True)
        >>> fill_from_logits(row, row, (0.0, 0.0), (1.0, 1.0), placement, 1, False, buckets)
        >>> int(buckets.tokens.sum()), float(buckets.target.sum()), buckets.totals.tolist()
        (3, 3.0, [3.0, 3.0])
    """
    clear(buckets)
    size, bins = len(target), len(buckets.tokens)
    lowest, highest = _log_ratio_range(target, draft, largest, inverse, placement, max_drafts)
    scale = bins / (highest - lowest)
    _put_edges(lowest, scale, highest, buckets.edges)
    placing = Placing(scale, -lowest * scale, bins - 1.0)
    whole = size // TOKENS * TOKENS
    lost = _fill_blocks(
        target[:whole],
        draft[:whole],
        largest,
        inverse,
        placing,
        compensated,
        buckets,
        buckets.bucket_of[:whole],
        (0.0, 0.0),
    )
    if whole < size:
        # The last tokens, padded to a block with masked ones.
        rest = np.empty((2, TOKENS), dtype=np.float32)
        rest[:] = np.float32(-np.inf)
        for i in range(size - whole):
            rest[0, i] = target[whole + i]
            rest[1, i] = draft[whole + i]
        bucket_of = np.empty(TOKENS, dtype=np.uint16)
        lost = _fill_blocks(
            rest[0], rest[1], largest, inverse, placing, compensated, buckets, bucket_of, lost
        )
        for i in range(size - whole):
            buckets.bucket_of[whole + i] = bucket_of[i]
    close(buckets, lost, -size % TOKENS)


@kernel(fastmath={"contract"})
def _put_edges(lowest: float, scale: float, highest: float, edges: FloatArray) -> None:
    largest = math.exp(highest)
    for b in range(1, len(edges) - 1):
        edges[b] = largest * vector_exp(lowest + b / scale - highest)
