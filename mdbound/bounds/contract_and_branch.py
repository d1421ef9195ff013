"""The search for the optimal set of independent drafts; see `mdbound.bounds.independent_drafts`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.summation import UNIT_ROUNDOFF

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SEARCH_TOLERANCE = 1e-13
"""A box is dropped when it cannot beat the best set by more than this.

Well above the rounding of the masses that bound the boxes, or ties would be cut up for ever.
"""

MAX_BOXES = 100_000
"""Boxes after which the solver gives up with an error instead of running on."""

BLOCK = 64
"""Tokens summed in any order; the sums of blocks are compensated."""

SUM_ERROR = (BLOCK + 4.0) * UNIT_ROUNDOFF
"""Relative error of a sum over tokens."""

_START = 0.8  # x of the first guess
_GUESSES = 3  # threshold sets tried per box
_MANY = 256  # from here on a pass that decides less than an eighth is worse than cutting the box


class OpenTokens(NamedTuple):
    """A subproblem: the tokens not yet decided, and the masses of those already in.

    Attributes:
        ids: token ids; the first `size` are open.
        masses: p and q_1..q_K of these, K + 1 rows.
        inside: p and q_k of the tokens forced in, shape (K + 1,).
        size: how many tokens are open.
    """

    ids: IntArray
    masses: FloatArray
    inside: FloatArray
    size: int


@njit(cache=True, nogil=True)
def contract_and_branch(target: FloatArray, drafts: FloatArray) -> tuple[BoolArray, int]:
    """Mask of the optimal set of one row, and the number of boxes it took.

    Args:
        target: p, shape (V,).
        drafts: q_1..q_K, shape (K, V).

    Example:
        >>> p, q = np.array([0.5, 0.3, 0.2]), np.array([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]])
        >>> mask, boxes = contract_and_branch(p, q)
        >>> mask.tolist(), boxes
        ([False, True, True], 1)
    """
    num_drafts, vocab_size = drafts.shape
    members = np.zeros(vocab_size, dtype=np.bool_)
    if num_drafts == 1:
        for i in range(vocab_size):
            members[i] = target[i] < drafts[0, i]
        return members, 1
    root = _all_tokens(target, drafts)
    forced = np.zeros(vocab_size, dtype=np.bool_)
    high = np.empty(num_drafts)
    for k in range(num_drafts):
        high[k] = masked_mass(drafts[k], drafts[k]) * (1.0 + 2.0 * SUM_ERROR)
    best = _improve(root, np.full(num_drafts, _START), forced, 0.0, members)
    stack = [(np.zeros(num_drafts), high)]
    boxes = 0
    while len(stack) > 0 and boxes <= MAX_BOXES:
        low, high = stack.pop()
        boxes += 1
        local_forced = forced.copy()
        tokens, feasible = _contract(root, low, high, best, local_forced, boxes == 1)
        if not feasible:
            continue
        best = _improve(tokens, 0.5 * (low + high), local_forced, best, members)
        if _lower_bound(tokens, low, high) >= best - SEARCH_TOLERANCE:
            continue
        if boxes == 1:
            # Whatever the first contraction decided holds in every part of the box.
            root = tokens
            forced = local_forced
        side = int(np.argmax(high - low))
        middle = 0.5 * (low[side] + high[side])
        upper_low = low.copy()
        upper_low[side] = middle
        lower_high = high.copy()
        lower_high[side] = middle
        stack.append((low, lower_high))
        stack.append((upper_low, high))
    return members, boxes


@njit(cache=True, nogil=True)
def _all_tokens(target: FloatArray, drafts: FloatArray) -> OpenTokens:
    num_drafts, vocab_size = drafts.shape
    masses = np.empty((num_drafts + 1, vocab_size))
    masses[0] = target
    masses[1:] = drafts
    return OpenTokens(np.arange(vocab_size), masses, np.zeros(num_drafts + 1), vocab_size)


@njit(cache=True, nogil=True)
def masked_mass(values: FloatArray, marks: npt.NDArray[np.generic]) -> float:
    """Sum of the values where the mark is not zero, to `SUM_ERROR`.

    Example:
        >>> masked_mass(np.array([0.5, 0.25, 0.25]), np.array([True, False, True]))
        0.75
    """
    total = lost = 0.0
    for start in range(0, len(values), BLOCK):
        x = _block_mass(values[start : start + BLOCK], marks[start : start + BLOCK])
        larger = total + x
        lost += (total - larger) + x if total >= x else (x - larger) + total
        total = larger
    return total + lost


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _block_mass(values: FloatArray, marks: npt.NDArray[np.generic]) -> float:
    total = 0.0
    for i in range(len(values)):
        total += values[i] if marks[i] != 0 else 0.0
    return total


@njit(cache=True, nogil=True)
def _leave_one_out_products(x: FloatArray) -> FloatArray:
    weights = np.ones(len(x))
    for k in range(len(x)):
        for j in range(len(x)):
            if j != k:
                weights[k] *= x[j]
    return weights


@njit(cache=True, nogil=True)
def _weighted(masses: FloatArray, start: int, weights: FloatArray, gain: FloatArray) -> None:
    """Write sum over k of w_k q_k for the tokens from `start` on."""
    size = len(gain)
    first = masses[1, start : start + size]
    for i in range(size):
        gain[i] = weights[0] * first[i]
    for k in range(1, len(weights)):
        row = masses[k + 1, start : start + size]
        for i in range(size):
            gain[i] += weights[k] * row[i]


@njit(cache=True, nogil=True)
def _contract(
    root: OpenTokens,
    low: FloatArray,
    high: FloatArray,
    best: float,
    forced: BoolArray,
    owned: bool,
) -> tuple[OpenTokens, bool]:
    """Decide tokens and shrink the box until little moves; mark those forced in.

    `low` and `high` are updated. With `owned` the root's arrays are overwritten. Returns what is
    still open, and whether the box can hold a set better than the best one.
    """
    num_drafts = len(low)
    count = root.size
    ids = root.ids if owned else root.ids[:count].copy()
    masses = root.masses if owned else root.masses[:, :count].copy()
    inside = root.inside.copy()
    possible = np.empty(num_drafts + 1)
    margin = 2.0 * SUM_ERROR
    while True:
        if not _raise_low(low, high, inside[0], best):
            return OpenTokens(ids, masses, inside, count), False
        least = _leave_one_out_products(low)
        most = _leave_one_out_products(high)
        kept = _decide(ids, masses, count, least, most, forced, inside, possible)
        moved = kept < count
        slow = count - kept < count // 8
        count = kept
        for k in range(num_drafts):
            low[k] = max(low[k], inside[k + 1] * (1.0 - margin))
            high[k] = min(high[k], possible[k + 1] * (1.0 + margin))
            if low[k] > high[k]:
                return OpenTokens(ids, masses, inside, count), False
        if not moved or (slow and count > _MANY):
            return OpenTokens(ids, masses, inside, count), True


@njit(cache=True, nogil=True)
def _raise_low(low: FloatArray, high: FloatArray, target_inside: float, best: float) -> bool:
    """A set at most as high as the best one has prod_k x_k >= p(tokens in) - best value."""
    product = target_inside * (1.0 - 8.0 * SUM_ERROR) - best - 16.0 * SUM_ERROR
    others = _leave_one_out_products(high)
    for k in range(len(low)):
        if product > 0.0 and others[k] > 0.0:
            low[k] = max(low[k], product / others[k] * (1.0 - 1e-14))
        if low[k] > high[k]:
            return False
    return True


@njit(cache=True, nogil=True)
def _decide(
    ids: IntArray,
    masses: FloatArray,
    count: int,
    least: FloatArray,
    most: FloatArray,
    forced: BoolArray,
    inside: FloatArray,
    possible: FloatArray,
) -> int:
    """Move the first `count` tokens in or out or keep them, in front; return how many are kept.

    The masses in `inside` grow by those forced in; `possible` becomes theirs and the kept ones'.
    """
    rows = len(masses)
    slack = (4.0 * rows + 8.0) * UNIT_ROUNDOFF
    below, above = least * (1.0 - slack), most * (1.0 + slack)
    low_gain, high_gain = np.empty(BLOCK), np.empty(BLOCK)
    enters, stays = np.empty(BLOCK, dtype=np.bool_), np.empty(BLOCK, dtype=np.bool_)
    # Sums and what their additions lost: of tokens forced in, and of tokens kept.
    sums, lost = np.zeros((2, rows)), np.zeros((2, rows))
    kept = 0
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        _weighted(masses, start, below, low_gain[:size])
        _weighted(masses, start, above, high_gain[:size])
        target = masses[0, start : start + size]
        moving = _flags(target, low_gain, high_gain, enters, stays)
        for row in range(rows):
            block = masses[row, start : start + size]
            _add(sums, lost, 1, row, _block_mass(block, stays))
            if moving:
                _add(sums, lost, 0, row, _block_mass(block, enters))
        if moving:
            for i in range(size):
                forced[ids[start + i]] |= enters[i]
        kept = _keep(ids, masses, start, stays[:size], kept)
    for row in range(rows):
        inside[row] += sums[0, row] + lost[0, row]
        possible[row] = inside[row] + (sums[1, row] + lost[1, row])
    return kept


@njit(cache=True, nogil=True)
def _flags(
    target: FloatArray,
    low_gain: FloatArray,
    high_gain: FloatArray,
    enters: BoolArray,
    stays: BoolArray,
) -> bool:
    """Which tokens are forced in and which stay open; whether any is forced in."""
    entering = 0
    for i in range(len(target)):
        enters[i] = target[i] < low_gain[i]
        entering += 1 if target[i] < low_gain[i] else 0
        stays[i] = (target[i] >= low_gain[i]) & (target[i] <= high_gain[i]) & (high_gain[i] > 0.0)
    return entering > 0


@njit(cache=True, nogil=True)
def _add(sums: FloatArray, lost: FloatArray, which: int, row: int, x: float) -> None:
    total = sums[which, row]
    larger = total + x
    lost[which, row] += (total - larger) + x if total >= x else (x - larger) + total
    sums[which, row] = larger


@njit(cache=True, nogil=True)
def _keep(ids: IntArray, masses: FloatArray, start: int, stays: BoolArray, kept: int) -> int:
    """Move the tokens that stay to the front, in place."""
    places = np.empty(BLOCK, dtype=np.int64)
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


@njit(cache=True, nogil=True)
def _improve(
    tokens: OpenTokens, x: FloatArray, forced: BoolArray, best: float, members: BoolArray
) -> float:
    """Try the forced set and a few thresholds; write what beats `best` to `members`."""
    weights = _leave_one_out_products(x)
    # With weights 0 only the tokens forced in are taken. In a box shrunk to a point that set
    # meets the lower bound, which is why the search ends.
    chosen_weights = np.zeros(len(x))
    value = tokens.inside[0] - tokens.inside[1:].prod()
    improved = value < best
    best = min(best, value)
    for _ in range(_GUESSES):
        masses = _threshold_masses(tokens, weights)
        value = masses[0] - masses[1:].prod()
        if value < best:
            best = value
            chosen_weights = weights
            improved = True
        weights = _leave_one_out_products(masses[1:])
    if improved:
        members[:] = forced
        gain = np.empty(BLOCK)
        for start in range(0, tokens.size, BLOCK):
            size = min(BLOCK, tokens.size - start)
            _weighted(tokens.masses, start, chosen_weights, gain[:size])
            for i in range(size):
                members[tokens.ids[start + i]] = tokens.masses[0, start + i] < gain[i]
    return best


@njit(cache=True, nogil=True)
def _threshold_masses(tokens: OpenTokens, weights: FloatArray) -> FloatArray:
    """Masses p and q_k of the tokens in and of the open ones with p_i < sum over k of w_k q_k,i."""
    rows = len(tokens.masses)
    gain = np.empty(BLOCK)
    chosen = np.empty(BLOCK, dtype=np.bool_)
    sums, lost = np.zeros((1, rows)), np.zeros((1, rows))
    for start in range(0, tokens.size, BLOCK):
        size = min(BLOCK, tokens.size - start)
        _weighted(tokens.masses, start, weights, gain[:size])
        _mark_below(tokens.masses[0, start : start + size], gain, chosen)
        for row in range(rows):
            block = tokens.masses[row, start : start + size]
            _add(sums, lost, 0, row, _block_mass(block, chosen))
    totals: FloatArray = tokens.inside + (sums[0] + lost[0])
    return totals


@njit(cache=True, nogil=True)
def _mark_below(target: FloatArray, gain: FloatArray, marks: BoolArray) -> None:
    for i in range(len(target)):
        marks[i] = target[i] < gain[i]


@njit(cache=True, nogil=True)
def _lower_bound(tokens: OpenTokens, low: FloatArray, high: FloatArray) -> float:
    """No set of the box has a smaller p(H) - prod_k q_k(H) than this, up to rounding."""
    best = -np.inf
    gain = np.empty(BLOCK)
    for fifth in range(5):
        slopes, constant = product_overestimator(low, high, 0.25 * fifth)
        value = tokens.inside[0] - constant
        for k in range(len(slopes)):
            value -= slopes[k] * tokens.inside[k + 1]
        gained = 0.0
        for start in range(0, tokens.size, BLOCK):
            size = min(BLOCK, tokens.size - start)
            _weighted(tokens.masses, start, slopes, gain[:size])
            gained += _block_gain(tokens.masses[0, start : start + size], gain)
        best = max(best, value - gained)
    return best


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _block_gain(target: FloatArray, gain: FloatArray) -> float:
    total = 0.0
    for i in range(len(target)):
        total += gain[i] - target[i] if gain[i] > target[i] else 0.0
    return total


@njit(cache=True, nogil=True)
def product_overestimator(
    low: FloatArray, high: FloatArray, mix: float
) -> tuple[FloatArray, float]:
    """Linear function above the product of x_k on the box, as slopes and a constant.

    McCormick's two planes over x y, applied from the last factor to the first with y the
    product of the later ones, mixed with weight `mix` on the first plane.

    Args:
        low: lower corner of the box, shape (K,), not negative.
        high: upper corner.
        mix: in [0, 1].

    Example:
        >>> slopes, constant = product_overestimator(np.zeros(2), np.ones(2), 1.0)
        >>> slopes.tolist(), constant
        ([0.0, 1.0], 0.0)
    """
    num_drafts = len(low)
    slopes = np.zeros(num_drafts)
    slopes[num_drafts - 1] = 1.0
    constant = 0.0
    later_low, later_high = low[num_drafts - 1], high[num_drafts - 1]
    for k in range(num_drafts - 2, -1, -1):
        # x y <= high y + later_low x - high later_low, and the same with the ends exchanged.
        factor = mix * high[k] + (1.0 - mix) * low[k]
        slopes *= factor
        constant *= factor
        slopes[k] = mix * later_low + (1.0 - mix) * later_high
        constant -= mix * high[k] * later_low + (1.0 - mix) * low[k] * later_high
        later_low *= low[k]
        later_high *= high[k]
    return slopes, constant
