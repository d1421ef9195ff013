"""Oracle: smallest p(H) - F_n(H) over the prefixes of a sorted row.

The slow way, with an integral and a search of its own: it takes rows of any shape, also those
whose draft masses span hundreds of decades. For n = 1 and n = 2 all prefixes have a closed form;
for n >= 3
(`numerics.exponential_clocks`) the minimiser is found by branch and bound on the prefix
length, with the increments of p and of F as bounds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.numerics.exponential_clocks import trapezoid_step
from mdbound.bounds.numerics.ratio_order import ratio_order, smallest_minimiser
from mdbound.bounds.numerics.slope_bound import lowest_between
from mdbound.bounds.numerics.summation import prefix_sums
from mdbound.bounds.problem.array_types import FloatArray
from tests.oracles.clock_table import ClockTable, clock_table, containment_step, expm1_power_series

IntArray = npt.NDArray[np.int64]

SEARCH_TOLERANCE = 4e-16
"""A range of prefixes is passed over when it cannot beat the best value by more than this."""


def sorted_solution(target: FloatArray, draft: FloatArray, max_drafts: int) -> FloatArray:
    """`solve_by_sorting` with its constants; shape (5, N).

    Example:
        >>> p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
        >>> sorted_solution(p, q, 2)[0].round(6).tolist()
        [0.7, 0.985714]
    """
    found = np.empty((5, max_drafts))
    step = trapezoid_step(max(max_drafts, 3))
    solve_by_sorting(target, draft, max_drafts, step, expm1_power_series(), found)
    return found


@njit(cache=True, nogil=True)
def solve_by_sorting(
    target: FloatArray,
    draft: FloatArray,
    max_drafts: int,
    step: float,
    series: FloatArray,
    found: FloatArray,
) -> None:
    """Optimal acceptance, size, p(H), q(H) and F_n(H) of one row for n = 1..max_drafts.

    Args:
        target: p, shape (V,).
        draft: q.
        max_drafts: N.
        step: `trapezoid_step(max(N, 3))`.
        series: `expm1_power_series()`.
        found: written, shape (5, N).
    """
    order = ratio_order(target, draft)
    p = target[order]
    p_prefix = prefix_sums(p)
    q_prefix = prefix_sums(draft[order])
    rates = draft[order] / q_prefix[-1]
    value, sizes, contained = _solve_sorted(p, rates, p_prefix, max_drafts, step, series)
    for n in range(max_drafts):
        found[0, n] = 1.0 + value[n]
        found[1, n] = sizes[n]
        found[2, n] = p_prefix[sizes[n]]
        found[3, n] = q_prefix[sizes[n]]
        found[4, n] = contained[n]


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
    small = small_containments(rates)
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
def small_containments(rates: FloatArray) -> FloatArray:
    """F_1 and F_2 of every prefix of rates that sum to 1, shape (2, m + 1).

    F_2 = sum over i in H of q_i (Q - q_i) / (1 - q_i), Q = q(H). Written as Q A - B this cancels
    to nothing when one token has nearly all the mass, so the heaviest one is kept apart, with
    Q - q_i and 1 - q_i as sums over the others.

    Example:
        >>> small_containments(np.array([0.5, 0.5])).tolist()
        [[0.0, 0.5, 1.0], [0.0, 0.0, 1.0]]
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
        if lowest_between(left, right, span, fall, rise) >= best - SEARCH_TOLERANCE:
            continue
        middle = (a + b) // 2
        gap_left = steps[slot[a], 2, n] - ratio[a]
        gap_right = ratio[b] - steps[slot[b], 2, n]
        if not halve and gap_left > 0.0 and gap_right > 0.0:
            aim = table.outside[a + 1] - span * (gap_left / (gap_left + gap_right))
            middle = _first_at_most(table.outside, a + 1, b, aim)
        halve = not halve
        middle = min(max(middle, a + 1), b - 1)
        stack[depth, 0], stack[depth, 1] = a, middle
        stack[depth + 1, 0], stack[depth + 1, 1] = middle, b
        depth += 2
    return search, best, best_size, best_contained


@njit(cache=True, nogil=True)
def _first_at_most(descending: FloatArray, low: int, high: int, value: float) -> int:
    """First index in [low, high) whose entry is at most `value`, or `high`."""
    while low < high:
        middle = (low + high) // 2
        if descending[middle] <= value:
            high = middle
        else:
            low = middle + 1
    return low
