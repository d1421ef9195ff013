"""Drafts drawn one after the other without replacement from one distribution.

F(H) is q-convex (Hu et al. 2025): along any order its increments F(H + i) - F(H), divided by q_i,
never fall. So a prefix of the order q/p descending minimises p(H) - F(H). For n = 1 and n = 2
all prefixes have a closed form; for n >= 3 (`mdbound.bounds.exponential_clocks`) the minimiser is
found by branch and bound on the prefix length, with the increments of p and of F as bounds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.draft_law import BoolArray, DraftLaw, optimal_prefix
from mdbound.bounds.exponential_clocks import (
    ClockTable,
    clock_table,
    containment_step,
    expm1_power_series,
    trapezoid_step,
)
from mdbound.bounds.ratio_order import ratio_order
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF, prefix_sums
from mdbound.bounds.with_replacement import smallest_minimiser

IntArray = npt.NDArray[np.int64]

INTEGRAL_ERROR = 2e-14
"""Error of one containment for n >= 3: the trapezoid rule's 2e-16 and the rounding of the sums."""

SEARCH_TOLERANCE = 4e-16
"""A range of prefixes is passed over when it cannot beat the best value by more than this."""


class WithoutReplacement(DraftLaw):
    """n sequential draws from q, renormalised after each; the whole support if n exceeds it."""

    name = "without_replacement"

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `without_replacement_curve`."""
        del strict  # every checked row is solved
        return without_replacement_curve(target, draft, max_drafts)

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """The smallest optimal prefix of the order q/p descending."""
        curve = without_replacement_curve(target[None], draft[None], num_drafts)
        return optimal_prefix(target, draft, int(curve.subset_size[0, -1]))

    def containment(self, draft: FloatArray, subset: BoolArray, num_drafts: int) -> float:
        """Closed form for n <= 2, the integral over exponential clocks for n >= 3."""
        inside = draft[subset & (draft > 0.0)]
        outside = draft[~subset & (draft > 0.0)]
        return prefix_containment(np.concatenate([inside, outside]), num_drafts, len(inside))


def without_replacement_curve(
    target: FloatArray, draft: FloatArray, max_drafts: int
) -> AcceptanceCurve:
    """Optimal acceptance for n = 1..max_drafts draws without replacement.

    With n at or above the draft's support the drafts are the whole support and the value is
    its target mass.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> without_replacement_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.985714, 1.0]]
    """
    curve = AcceptanceCurve.empty(len(target), max_drafts)
    _solve_rows(
        target,
        draft,
        trapezoid_step(max(max_drafts, 3)),
        expm1_power_series(),
        curve.acceptance,
        curve.subset_size,
        curve.target_mass,
        curve.draft_mass,
        curve.containment,
    )
    curve.error_bound[:] = error_bounds(max_drafts)
    return curve


def error_bounds(max_drafts: int) -> FloatArray:
    """Error of alpha*: rounding for n <= 2, the integral's for n >= 3.

    Example:
        >>> error_bounds(3).round(16).tolist()
        [4.4e-15, 4.4e-15, 2e-14]
    """
    bounds = np.full(max_drafts, INTEGRAL_ERROR)
    bounds[:2] = 40.0 * UNIT_ROUNDOFF
    return bounds


def prefix_containment(rates: FloatArray, num_drafts: int, size: int) -> float:
    """F_n of the first `size` of the given tokens, exactly (to `INTEGRAL_ERROR`).

    Args:
        rates: draft probabilities of the tokens that can be drafted, in any order, all
            positive; only their ratios matter.
        num_drafts: n, at least 1.
        size: 0 <= size <= m.

    Example:
        >>> round(prefix_containment(np.array([0.5, 0.25, 0.25]), 2, 2), 12)
        0.416666666667
        >>> prefix_containment(np.array([0.5, 0.25, 0.25]), 3, 3)
        1.0
    """
    rates = rates / prefix_sums(rates)[-1]
    if size == len(rates):
        return 1.0
    if size < num_drafts:
        return 0.0
    if num_drafts <= 2:
        return float(_small_containments(rates)[num_drafts - 1, size])
    before, after, slope = (np.zeros(num_drafts + 1) for _ in range(3))
    containment_step(
        clock_table(rates),
        size,
        num_drafts,
        trapezoid_step(num_drafts),
        expm1_power_series(),
        before,
        after,
        slope,
    )
    return float(before[num_drafts])


@njit(cache=True, parallel=True, nogil=True)
def _solve_rows(
    target: FloatArray,
    draft: FloatArray,
    step: float,
    series: FloatArray,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> None:
    for row in prange(len(target)):
        order = ratio_order(target[row], draft[row])
        p = target[row][order]
        q = draft[row][order]
        p_prefix = prefix_sums(p)
        q_prefix = prefix_sums(q)
        value, sizes, contained = _solve_sorted(
            p, q / q_prefix[-1], p_prefix, acceptance.shape[1], step, series
        )
        for n in range(acceptance.shape[1]):
            acceptance[row, n] = 1.0 + value[n]
            subset_size[row, n] = sizes[n]
            target_mass[row, n] = p_prefix[sizes[n]]
            draft_mass[row, n] = q_prefix[sizes[n]]
            containment[row, n] = contained[n]


@njit(cache=True, nogil=True)
def _solve_sorted(
    p: FloatArray,
    rates: FloatArray,
    p_prefix: FloatArray,
    max_drafts: int,
    step: float,
    series: FloatArray,
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Minimum of p(H) - F_n(H) over the prefixes, its prefix length and F_n there, for each n."""
    value = np.zeros(max_drafts)
    sizes = np.zeros(max_drafts, dtype=np.int64)
    contained = np.zeros(max_drafts)
    small = _small_containments(rates)
    for n in range(min(2, max_drafts)):
        objective = p_prefix - small[n]
        value[n] = objective.min()
        sizes[n] = smallest_minimiser(objective, 2.0**-50)
        contained[n] = small[n, sizes[n]]
    if max_drafts < 3:
        return value, sizes, contained
    if len(rates) <= 3:
        whole = p_prefix[-1] - 1.0 < 0.0
        for n in range(2, max_drafts):
            value[n] = min(p_prefix[-1] - 1.0, 0.0)
            sizes[n] = len(rates) if whole else 0
            contained[n] = 1.0 if whole else 0.0
        return value, sizes, contained
    search = _new_search(clock_table(rates), p, p_prefix, max_drafts)
    for n in range(3, max_drafts + 1):
        search, value[n - 1], sizes[n - 1], contained[n - 1] = _branch_and_bound(
            search, n, step, series
        )
    return value, sizes, contained


@njit(cache=True, nogil=True)
def _small_containments(rates: FloatArray) -> FloatArray:
    """F_1 and F_2 of every prefix, shape (2, m + 1).

    F_2 = sum over i in H of q_i (Q - q_i) / (1 - q_i), Q = q(H). Written as Q A - B this cancels
    to nothing when one token has nearly all the mass, so the heaviest one is kept apart, with
    Q - q_i and 1 - q_i as sums over the others.
    """
    size = len(rates)
    heaviest = int(np.argmax(rates))
    others = rates.copy()
    others[heaviest] = 0.0
    rest = prefix_sums(others)
    first = np.empty(size)
    second = np.empty(size)
    for i in range(size):
        first[i] = others[i] / (1.0 - others[i])
        second[i] = others[i] * first[i]
    first_prefix = prefix_sums(first)
    second_prefix = prefix_sums(second)
    containments = np.empty((2, size + 1))
    total = prefix_sums(rates)
    for k in range(size + 1):
        containments[0, k] = total[k]
        pairs = total[k] * first_prefix[k] - second_prefix[k]
        if k > heaviest and rest[-1] > 0.0:
            pairs += rates[heaviest] * (rest[k] / rest[-1])
        containments[1, k] = max(pairs, 0.0)
    containments[1, 0] = 0.0
    containments[1, min(1, size)] = 0.0
    containments[:, size] = 1.0
    return containments


@njit(cache=True, nogil=True)
def _new_search(
    table: ClockTable, p: FloatArray, p_prefix: FloatArray, max_drafts: int
) -> tuple[ClockTable, FloatArray, FloatArray, IntArray, FloatArray, int]:
    """State of the search: prefix facts, and the steps evaluated so far (shared by all n)."""
    ratio = p / table.rates
    slot = np.full(len(p), -1, dtype=np.int64)
    steps = np.zeros((32, 3, max_drafts + 1))
    return table, ratio, p_prefix, slot, steps, 0


@njit(cache=True, nogil=True)
def _evaluate(search, size, step, series):  # type: ignore[no-untyped-def]
    """Make sure the step from `size` to `size + 1` tokens has been evaluated."""
    table, ratio, p_prefix, slot, steps, used = search
    if slot[size] >= 0:
        return search
    if used == len(steps):
        grown = np.zeros((2 * used, 3, steps.shape[2]))
        grown[:used] = steps
        steps = grown
    slot[size] = used
    entry = steps[used]
    containment_step(table, size, steps.shape[2] - 1, step, series, entry[0], entry[1], entry[2])
    return table, ratio, p_prefix, slot, steps, used + 1


@njit(cache=True, nogil=True)
def _branch_and_bound(search, n, step, series):  # type: ignore[no-untyped-def]
    """Smallest p(H) - F_n(H) over prefixes: ranges between two evaluated steps are bounded.

    Step k adds token k to the prefix of k tokens. Between the steps a < b the prefixes a + 1..b
    remain; the objective moves by (p_i / q_i - slope_i) q_i per step, both terms rise along the
    order, so the values at a + 1 and at b bound the ones between.
    """
    last = len(search[3]) - 1
    best, best_size, best_contained = 0.0, 0, 0.0
    stack = np.empty((128, 2), dtype=np.int64)
    stack[0, 0], stack[0, 1] = 0, last
    depth = 1
    halve = False
    while depth > 0:
        depth -= 1
        a, b = stack[depth, 0], stack[depth, 1]
        search = _evaluate(search, a, step, series)
        search = _evaluate(search, b, step, series)
        table, ratio, p_prefix, slot, steps, _ = search
        for k in (a, b):
            for side in range(2):
                contained = steps[slot[k], side, n]
                objective = p_prefix[k + side] - contained
                if objective < best - SEARCH_TOLERANCE or (
                    objective < best + SEARCH_TOLERANCE and k + side < best_size
                ):
                    best, best_size, best_contained = objective, k + side, contained
        if b - a < 3 and a + 1 >= b - 1:
            continue
        left = p_prefix[a + 1] - steps[slot[a], 1, n]
        right = p_prefix[b] - steps[slot[b], 0, n]
        # Ratios and slopes here are at most 1 / outside, so this difference is precise enough;
        # one of prefix sums would lose tokens below an ulp that carry target mass.
        span = table.outside[a + 1] - table.outside[b]
        fall = max(0.0, steps[slot[b], 2, n] - ratio[a + 1])
        rise = max(0.0, ratio[b - 1] - steps[slot[a], 2, n])
        if _lowest_between(left, right, span, fall, rise) >= best - SEARCH_TOLERANCE:
            continue
        middle = (a + b) // 2
        gap_left = steps[slot[a], 2, n] - ratio[a]
        gap_right = ratio[b] - steps[slot[b], 2, n]
        if not halve and gap_left > 0.0 and gap_right > 0.0:
            aim = table.outside[a + 1] - span * (gap_left / (gap_left + gap_right))
            middle = a + 1 + np.searchsorted(-table.outside[a + 1 : b], -aim)
        halve = not halve
        middle = min(max(middle, a + 1), b - 1)
        stack[depth, 0], stack[depth, 1] = a, middle
        stack[depth + 1, 0], stack[depth + 1, 1] = middle, b
        depth += 2
    return search, best, best_size, best_contained


@njit(cache=True, nogil=True)
def _lowest_between(left: float, right: float, span: float, fall: float, rise: float) -> float:
    """Lower bound on a function that is `left` at 0 and `right` at `span`, from its slopes.

    Going right it falls by at most `fall`, going left it falls by at most `rise`, per unit.
    """
    if fall == 0.0:
        return left
    if rise == 0.0:
        return right
    # Where the two lines meet, as a weighted mean: the meeting point itself would be lost to
    # rounding when one slope is many orders above the other.
    share = rise / (fall + rise)
    meeting = left * share + right * (1.0 - share) - span * fall * share
    return min(meeting, left, right)
