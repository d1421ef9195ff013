"""Shrink a box of draft masses and decide tokens by it, as far as it goes; for independent drafts.

Two rules decide a token. If q_k(H) lies in [low_k, high_k] for an optimal set H, then its
threshold weights w_k are between the products of the other low_j and of the other high_j, and a
token with p_i below the least w.q_i is in H, one with p_i above the largest is not. And a token
whose |p_i - w.q_i| exceeds the cost of `mean_bound` is where H_1 has it.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.laws.independent.mean_bound import (
    LEAST_PRODUCT,
    confine,
    scales_around,
    shrink_box,
)
from mdbound.bounds.laws.independent.undecided import (
    BLOCK,
    CHUNK,
    SUM_ERROR,
    OpenTokens,
    add_parts,
    leave_one_out_products,
    masses_below,
    product,
    weighted,
)
from mdbound.bounds.numerics.compiled.array_loops import nowhere_above, total
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF, compensated_add
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray

MARGIN = 2.0 * SUM_ERROR
"""Relative allowance on the ends of a box for the rounding of the masses."""

_ROUNDS = 100
"""Most rounds for one box: a box that still moves then is cut."""

_PROGRESS = 0.75
"""Another round follows if one leaves less than this of the tokens or of the box: nearer to 1, and
rounds are spent where cutting gains more."""

_SCALES = 8
"""Scales on each side of a set that a box is bounded at: fewer decide fewer tokens, more cost as
many additions for each open token."""

_RATIO = 0.4
"""Of the distances of neighbouring scales from the set."""

_LEAST_OFFSET = 1e-6
"""Nearest scale, relatively: nearer, rounding of the masses decides."""


# Long: one round after another, until little moves; every step of a round changes box and tokens.
@kernel
def contract(
    root: OpenTokens,
    low: FloatArray,
    high: FloatArray,
    best: FloatArray,
    limit: float,
    enough: int,
    forced: BoolArray,
) -> tuple[OpenTokens, bool]:
    """Decide tokens and shrink the box until little moves.

    Args:
        root: the sets hold what is inside and any of the open tokens; `ids` index `forced`.
        low: lower corner of the box, shape (K,); updated.
        high: upper corner; updated.
        best: masses of the best set known, where to look first, shape (K + 2,).
        limit: sets with p(H) - prod q_k(H) at or above this may be dropped; at most 0.
        enough: stop when so few tokens are open.
        forced: marks the tokens forced in; updated.

    Returns:
        What is still open, and whether the box can hold a set below the limit.
    """
    num_drafts = len(low)
    count = root.size
    ids = root.ids[:count].copy()
    masses = root.masses[:, :count].copy()
    inside = root.inside
    # A compensated sum: masses keep their precision over any number of rounds.
    certain, lost = root.inside.copy(), np.zeros(num_drafts + 2)
    kept_masses = np.empty(num_drafts + 2)
    weights = np.zeros(num_drafts)
    cost = np.inf
    for _ in range(_ROUNDS):
        width = total(high - low)
        if not _raise_low(low, high, inside[0], limit):
            return OpenTokens(ids, masses, inside, count), False
        least, most = leave_one_out_products(low), leave_one_out_products(high)
        kept = _decide(
            ids, masses, count, least, most, weights, cost, forced, certain, lost, kept_masses
        )
        inside = certain + lost
        few = kept <= _PROGRESS * count
        count = kept
        for k in range(num_drafts):
            low[k] = max(low[k], inside[k + 1] * (1.0 - MARGIN))
            high[k] = min(high[k], (inside[k + 1] + kept_masses[k + 1]) * (1.0 + MARGIN))
        tokens = OpenTokens(ids, masses, inside, count)
        if not nowhere_above(low, high):
            return tokens, False
        if count <= enough:
            return tokens, True
        weights = _direction(low, high, best[1 : num_drafts + 1])
        if product(weights) > LEAST_PRODUCT:
            cost = _confine_box(tokens, weights, low, high, limit)
            if cost < 0.0 or not nowhere_above(low, high):
                return tokens, False
        else:
            cost = np.inf
        if not few and total(high - low) > _PROGRESS * width:
            return tokens, True
    return tokens, True


@kernel
def _direction(low: FloatArray, high: FloatArray, x: FloatArray) -> FloatArray:
    """Threshold weights of x if it is in the box and they do not vanish, or of the middle."""
    if nowhere_above(low, x) and nowhere_above(x, high):
        weights = leave_one_out_products(x)
        if product(weights) > LEAST_PRODUCT:
            return weights
    return leave_one_out_products(0.5 * (low + high))


@kernel
def _confine_box(
    tokens: OpenTokens, weights: FloatArray, low: FloatArray, high: FloatArray, limit: float
) -> float:
    """Shrink the box to where a set below the limit can be; its cost, or -1 if there is none."""
    num_drafts = len(weights)
    least, most = 0.0, 0.0
    for k in range(num_drafts):
        least += weights[k] * low[k]
        most += weights[k] * high[k]
    least *= 1.0 - MARGIN
    most *= 1.0 + MARGIN
    # phi' at the ends: no other slope is of use.
    flat = num_drafts * product(weights) ** (1.0 / (num_drafts - 1))
    lowest = min((least / flat) ** (num_drafts - 1), 1.0 - _LEAST_OFFSET)
    highest = max((most / flat) ** (num_drafts - 1), 1.0 + _LEAST_OFFSET)
    scales = scales_around(lowest, highest, _SCALES, _RATIO)
    found = confine(tokens, weights, scales, least, most, limit)
    if not found.possible:
        return -1.0
    middle = tokens.inside + masses_below(tokens.masses, tokens.size, weights, 1.0)
    shrink_box(found, weights, middle[1 : num_drafts + 1], low, high)
    return found.cost


@kernel
def _raise_low(low: FloatArray, high: FloatArray, target_inside: float, limit: float) -> bool:
    """A set below the limit has prod_k x_k >= p(tokens in) - limit."""
    least = target_inside * (1.0 - 8.0 * SUM_ERROR) - limit - 16.0 * SUM_ERROR
    others = leave_one_out_products(high)
    for k in range(len(low)):
        if least > 0.0 and others[k] > 0.0:
            low[k] = max(low[k], least / others[k] * (1.0 - 1e-14))
        if low[k] > high[k]:
            return False
    return True


# Long: one pass over the open tokens, which are decided, moved and summed together.
@kernel
def _decide(
    ids: IntArray,
    masses: FloatArray,
    count: int,
    least: FloatArray,
    most: FloatArray,
    weights: FloatArray,
    cost: float,
    forced: BoolArray,
    certain: FloatArray,
    certain_lost: FloatArray,
    kept_masses: FloatArray,
) -> int:
    """Move the first `count` tokens in or out or keep them, in front; return how many are kept.

    The masses in `certain` and `certain_lost`, a compensated sum, grow by those forced in;
    `kept_masses` becomes those of the kept.
    """
    rows = len(masses)
    slack = (4.0 * rows + 8.0) * UNIT_ROUNDOFF
    gains = np.empty((3, CHUNK))
    enters, stays = np.empty(CHUNK, dtype=np.bool_), np.empty(CHUNK, dtype=np.bool_)
    parts = np.empty((rows + 1, CHUNK // BLOCK))
    # Sums and what their additions lost: of tokens forced in, and of tokens kept.
    sums, lost = np.zeros((2, rows + 1)), np.zeros((2, rows + 1))
    kept = 0
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        weighted(masses, start, stop, least * (1.0 - slack), gains[0])
        weighted(masses, start, stop, most * (1.0 + slack), gains[1])
        weighted(masses, start, stop, weights, gains[2])
        moving = _flags(masses[0, start:stop], gains, cost, enters, stays)
        blocks = _marked_parts(masses, start, stop, stays, parts)
        add_parts(parts, blocks, sums[1], lost[1])
        if moving:
            blocks = _marked_parts(masses, start, stop, enters, parts)
            add_parts(parts, blocks, sums[0], lost[0])
            for i in range(stop - start):
                forced[ids[start + i]] |= enters[i]
        kept = _keep(ids, masses, start, stays[: stop - start], kept)
    for row in range(rows + 1):
        certain[row], certain_lost[row] = compensated_add(
            certain[row], certain_lost[row], sums[0, row] + lost[0, row]
        )
    for row in range(rows + 1):
        kept_masses[row] = sums[1, row] + lost[1, row]
    return kept


@kernel
def _flags(
    target: FloatArray, gains: FloatArray, cost: float, enters: BoolArray, stays: BoolArray
) -> bool:
    """Which tokens are forced in and which stay open; whether any is forced in."""
    entering = 0
    low_gain, high_gain, gain = gains[0], gains[1], gains[2]
    for i in range(len(target)):
        inside = (target[i] < low_gain[i]) | (gain[i] - target[i] > cost)
        outside = (target[i] > high_gain[i]) | (high_gain[i] <= 0.0) | (target[i] - gain[i] > cost)
        enters[i] = inside
        stays[i] = (not inside) & (not outside)
        entering += 1 if inside else 0
    return entering > 0


@kernel(fastmath={"reassoc", "nsz"})
def _marked_parts(
    masses: FloatArray, start: int, stop: int, marks: BoolArray, parts: FloatArray
) -> int:
    """Sums of each block of a chunk over the marked tokens; how many blocks there are."""
    rows = len(parts) - 1
    blocks = 0
    for first in range(start, stop, BLOCK):
        size = min(BLOCK, stop - first)
        chosen = marks[first - start : first - start + size]
        for row in range(rows):
            values = masses[row, first : first + size]
            total = 0.0
            for i in range(size):
                total += values[i] if chosen[i] else 0.0
            parts[row, blocks] = total
        count = 0
        for i in range(size):
            count += 1 if chosen[i] else 0
        parts[rows, blocks] = count
        blocks += 1
    return blocks


@kernel
def _keep(ids: IntArray, masses: FloatArray, start: int, stays: BoolArray, kept: int) -> int:
    """Move the tokens that stay to the front, in place."""
    places = np.empty(CHUNK, dtype=np.int64)
    count = 0
    for i in range(len(stays)):
        places[count] = start + i
        count += 1 if stays[i] else 0
    if kept == start and count == len(stays):
        return kept + count
    for i in range(count):
        ids[kept + i] = ids[places[i]]
    for row in range(len(masses)):
        values = masses[row]
        for i in range(count):
            values[kept + i] = values[places[i]]
    return kept + count
