"""Independent drafts from different distributions: F(H) = q_1(H) q_2(H) ... q_K(H).

The objective f(H) = p(H) - prod_k q_k(H) has a threshold structure. Let H* be optimal and
x_k = q_k(H*), w_k = prod over j != k of x_j. Then

    p_i < sum_k w_k q_k,i  implies  i in H*,      p_i > sum_k w_k q_k,i  implies  i not in H*,

since adding i to H* (removing it) changes the product by at least (at most) the linear term.
*Contract and branch* keeps a box around x: the least w over the box forces tokens in, the largest
forces tokens out, forced tokens shrink the box, and so on. What stays open is bounded below by
linear over-estimators of the product on the box; a box that cannot beat the best set is dropped,
any other is cut in two along its longest side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from mdbound.bounds.distributions import FloatArray, check_num_drafts, check_pair
from mdbound.bounds.draft_law import BoolArray, DraftLaw
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF, prefix_sums
from mdbound.errors import InvalidDistributionError, InvalidSettingError, UnsolvedError

IntArray = npt.NDArray[np.int64]

SEARCH_TOLERANCE = 1e-14
"""A box is dropped when it cannot beat the best set by more than this."""

MAX_BOXES = 100_000
"""Boxes after which the solver gives up with an error instead of running on."""


class Independent(DraftLaw):
    """Draft k is drawn from its own q_k; drafting n uses the first n distributions."""

    name = "independent"
    num_distributions = None

    def check(
        self, target: npt.ArrayLike, draft: Any, max_drafts: int
    ) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """Return target rows and a tuple of K arrays of draft rows, all of one shape."""
        check_num_drafts(max_drafts)
        if isinstance(draft, np.ndarray) and draft.ndim < 2:
            raise InvalidDistributionError(
                f"independent drafts have shape {draft.shape}: give a sequence of arrays, "
                "one per draft"
            )
        if len(draft) < max_drafts:
            raise InvalidSettingError(
                f"num_drafts is {max_drafts} but {len(draft)} draft distributions were given: "
                "independent drafts need one each"
            )
        pairs = [check_pair(target, one) for one in draft]
        rows = max(len(pair[0]) for pair in pairs)
        repeated = [
            tuple(np.repeat(array, rows // len(array), axis=0) for array in pair)
            for pair in pairs
            if len(pair[0]) in (1, rows)
        ]
        if len(repeated) < len(pairs):
            raise InvalidDistributionError(
                "the independent drafts differ in their number of rows: give the same to each"
            )
        return repeated[0][0], tuple(pair[1] for pair in repeated)

    def curve(
        self,
        target: FloatArray,
        draft: Sequence[FloatArray],
        max_drafts: int,
        strict: bool = True,
    ) -> AcceptanceCurve:
        """See `independent_curve`."""
        return independent_curve(target, draft, max_drafts, strict)

    def optimal_subset(
        self, target: FloatArray, draft: Sequence[FloatArray], num_drafts: int
    ) -> BoolArray:
        """The best set that contract-and-branch finds."""
        return optimal_subset(target, np.stack(list(draft)[:num_drafts]))[0]

    def containment(self, draft: Sequence[FloatArray], subset: BoolArray, num_drafts: int) -> float:
        """Product of the q_k(H)."""
        product = 1.0
        for one in list(draft)[:num_drafts]:
            product *= prefix_sums(one[subset])[-1]
        return float(product)


def independent_curve(
    target: FloatArray, drafts: Sequence[FloatArray], max_drafts: int, strict: bool = True
) -> AcceptanceCurve:
    """Optimal acceptance with the first n of K different drafts, for n = 1..max_drafts.

    Args:
        target: p, checked rows (B, V).
        drafts: q_1, ..., q_K, checked rows (B, V) each, K >= max_drafts.
        max_drafts: N, from 1 to K.
        strict: raise when a row is not solved within `MAX_BOXES`; otherwise it stays NaN.

    Raises:
        UnsolvedError: naming the row, with `strict`.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> independent_curve(p, [q, q[:, ::-1]], 2).acceptance.round(6).tolist()
        [[0.7, 0.94]]
    """
    stacked = np.ascontiguousarray(np.stack(list(drafts)[:max_drafts], axis=1))  # (B, K, V)
    curve = AcceptanceCurve.empty(len(target), max_drafts)
    for n in range(1, max_drafts + 1):
        boxes = _solve_rows(
            target,
            stacked,
            n,
            curve.acceptance,
            curve.subset_size,
            curve.target_mass,
            curve.draft_mass,
            curve.containment,
        )
        if strict and (boxes > MAX_BOXES).any():
            row = int(np.flatnonzero(boxes > MAX_BOXES)[0])
            raise UnsolvedError(
                f"row {row}: {n} independent drafts need more than {MAX_BOXES} boxes; "
                "solve it with strict=False to skip such rows"
            )
        curve.error_bound[boxes <= MAX_BOXES, n - 1] = error_bound(n)
    return curve


def error_bound(num_drafts: int) -> float:
    """Search tolerance plus the rounding of n + 1 masses and of their product.

    Example:
        >>> error_bound(2) < 2e-14
        True
    """
    return SEARCH_TOLERANCE + (4 * num_drafts + 12) * UNIT_ROUNDOFF


def optimal_subset(target: FloatArray, drafts: FloatArray) -> tuple[BoolArray, int]:
    """The optimal set of one row, and the number of boxes it took.

    Args:
        target: p, shape (V,).
        drafts: q_1..q_K, shape (K, V).

    Returns:
        A mask of shape (V,), and the boxes looked at (above `MAX_BOXES`: not solved).

    Example:
        >>> p, q = np.array([0.5, 0.3, 0.2]), np.array([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]])
        >>> mask, boxes = optimal_subset(p, q)
        >>> mask.tolist(), boxes
        ([False, True, True], 1)
    """
    return _contract_and_branch(target, drafts)


@njit(cache=True, parallel=True, nogil=True)
def _solve_rows(
    target: FloatArray,
    drafts: FloatArray,
    num_drafts: int,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> IntArray:
    boxes = np.zeros(len(target), dtype=np.int64)
    for row in prange(len(target)):
        used = drafts[row, :num_drafts]
        members, boxes[row] = _contract_and_branch(target[row], used)
        if boxes[row] > MAX_BOXES:
            continue
        p_in, product, mean = _set_masses(target[row], used, members)
        acceptance[row, num_drafts - 1] = 1.0 + (p_in - product)
        subset_size[row, num_drafts - 1] = members.sum()
        target_mass[row, num_drafts - 1] = p_in
        draft_mass[row, num_drafts - 1] = mean
        containment[row, num_drafts - 1] = product
    return boxes


@njit(cache=True, nogil=True)
def _set_masses(
    target: FloatArray, drafts: FloatArray, members: BoolArray
) -> tuple[float, float, float]:
    """p(H), prod_k q_k(H) and the mean of q_k(H)."""
    product = 1.0
    mean = 0.0
    for k in range(len(drafts)):
        mass = prefix_sums(drafts[k][members])[-1]
        product *= mass
        mean += mass / len(drafts)
    return prefix_sums(target[members])[-1], product, mean


class _OpenTokens(NamedTuple):
    """A subproblem: the tokens not yet decided, and the masses of those already in.

    Attributes:
        ids: token ids, shape (u,).
        target: p of these, shape (u,).
        drafts: q_k of these, token by token, shape (u, K).
        target_in: p(tokens forced in).
        drafts_in: q_k(tokens forced in), shape (K,).
    """

    ids: IntArray
    target: FloatArray
    drafts: FloatArray
    target_in: float
    drafts_in: FloatArray


@njit(cache=True, nogil=True)
def _contract_and_branch(target: FloatArray, drafts: FloatArray) -> tuple[BoolArray, int]:
    """Mask of the optimal set and the number of boxes; see the module's docstring."""
    num_drafts, vocab_size = drafts.shape
    root = _OpenTokens(
        np.arange(vocab_size),
        target,
        np.ascontiguousarray(drafts.T),
        0.0,
        np.zeros(num_drafts),
    )
    best_members = np.zeros(vocab_size, dtype=np.bool_)
    forced = np.zeros(vocab_size, dtype=np.bool_)
    totals = np.empty(num_drafts)
    for k in range(num_drafts):
        totals[k] = prefix_sums(drafts[k])[-1]
    best = 0.0
    stack = [(np.zeros(num_drafts), totals)]
    boxes = 0
    while len(stack) > 0 and boxes <= MAX_BOXES:
        low, high = stack.pop()
        boxes += 1
        local_forced = forced.copy()
        tokens, low, high, feasible = _contract(root, low, high, local_forced)
        if not feasible:
            continue
        value, chosen = _candidate(tokens, low, high)
        if value < best:
            best = value
            best_members = local_forced.copy()
            best_members[tokens.ids[chosen]] = True
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
    return best_members, boxes


@njit(cache=True, nogil=True)
def _leave_one_out_products(x: FloatArray) -> FloatArray:
    weights = np.ones(len(x))
    for k in range(len(x)):
        for j in range(len(x)):
            if j != k:
                weights[k] *= x[j]
    return weights


@njit(cache=True, nogil=True)
def _weighted(drafts: FloatArray, token: int, weights: FloatArray) -> float:
    total = 0.0
    for k in range(len(weights)):
        total += weights[k] * drafts[token, k]
    return total


@njit(cache=True, nogil=True)
def _contract(
    tokens: _OpenTokens, low: FloatArray, high: FloatArray, forced: BoolArray
) -> tuple[_OpenTokens, FloatArray, FloatArray, bool]:
    """Decide tokens and shrink the box until nothing moves; mark those forced in.

    Returns the tokens still open, the smaller box, and whether the box can hold an optimum.
    """
    num_drafts = len(low)
    slack = (4.0 * num_drafts + 4.0) * UNIT_ROUNDOFF
    # Masses are plain sums here: widen by their rounding so that no optimum is cut off.
    margin = 2.0 * UNIT_ROUNDOFF * (len(tokens.ids) + 4)
    low = low.copy()
    high = high.copy()
    ids, target, drafts = tokens.ids.copy(), tokens.target.copy(), tokens.drafts.copy()
    target_in = tokens.target_in
    drafts_in = tokens.drafts_in.copy()
    while True:
        least = _leave_one_out_products(low)
        most = _leave_one_out_products(high)
        possible = drafts_in.copy()
        kept = 0
        for i in range(len(ids)):
            if target[i] < _weighted(drafts, i, least) * (1.0 - slack):
                forced[ids[i]] = True
                target_in += target[i]
                for k in range(num_drafts):
                    drafts_in[k] += drafts[i, k]
                    possible[k] += drafts[i, k]
                continue
            gain = _weighted(drafts, i, most)
            if target[i] > gain * (1.0 + slack) or gain == 0.0:
                continue
            ids[kept] = ids[i]
            target[kept] = target[i]
            for k in range(num_drafts):
                drafts[kept, k] = drafts[i, k]
                possible[k] += drafts[i, k]
            kept += 1
        moved = kept < len(ids)
        ids, target, drafts = ids[:kept], target[:kept], drafts[:kept]
        for k in range(num_drafts):
            low[k] = max(low[k], drafts_in[k] * (1.0 - margin))
            high[k] = min(high[k], possible[k] * (1.0 + margin))
            if low[k] > high[k]:
                return _OpenTokens(ids, target, drafts, target_in, drafts_in), low, high, False
        if not moved:
            return _OpenTokens(ids, target, drafts, target_in, drafts_in), low, high, True


@njit(cache=True, nogil=True)
def _candidate(tokens: _OpenTokens, low: FloatArray, high: FloatArray) -> tuple[float, IntArray]:
    """A good threshold set of the box: its value and which open tokens it takes."""
    weights = _leave_one_out_products(0.5 * (low + high))
    best = np.inf
    best_chosen = np.empty(0, dtype=np.int64)
    for _ in range(3):
        chosen = np.empty(len(tokens.ids), dtype=np.int64)
        count = 0
        value = tokens.target_in
        masses = tokens.drafts_in.copy()
        for i in range(len(tokens.ids)):
            if tokens.target[i] < _weighted(tokens.drafts, i, weights):
                chosen[count] = i
                count += 1
                value += tokens.target[i]
                masses += tokens.drafts[i]
        value -= masses.prod()
        if value < best:
            best = value
            best_chosen = chosen[:count]
        weights = _leave_one_out_products(masses)
    return best, best_chosen


@njit(cache=True, nogil=True)
def _lower_bound(tokens: _OpenTokens, low: FloatArray, high: FloatArray) -> float:
    """No set of the box has a smaller p(H) - prod_k q_k(H) than this."""
    best = -np.inf
    for fifth in range(5):
        slopes, constant = product_overestimator(low, high, 0.25 * fifth)
        value = tokens.target_in - constant
        for k in range(len(slopes)):
            value -= slopes[k] * tokens.drafts_in[k]
        for i in range(len(tokens.ids)):
            value += min(0.0, tokens.target[i] - _weighted(tokens.drafts, i, slopes))
        best = max(best, value)
    return best


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
