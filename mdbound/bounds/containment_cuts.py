"""Where between two evaluated prefixes the minimum of p(H) - F_n(H) can still be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.ratio_partition import IntArray
from mdbound.bounds.slope_bound import lowest_between

_CHAIN = 3
MOST_CUTS = 2 * _CHAIN + 3
"""`cut_cells` writes at most this many cuts."""


class Ends(NamedTuple):
    """Two evaluated prefixes a < b, for one n.

    Attributes:
        target_a: p(H) at a.
        outside_a: 1 - q(H) at a.
        contained_a: F_n(H) at a.
        slope_a: slope of F_n at a, per unit of draft mass.
        target_b: likewise at b.
        outside_b: likewise.
        contained_b: likewise.
        slope_b: likewise.
    """

    target_a: float
    outside_a: float
    contained_a: float
    slope_a: float
    target_b: float
    outside_b: float
    contained_b: float
    slope_b: float


@njit(cache=True, nogil=True)
def cut_cells(
    low: FloatArray,
    high: FloatArray,
    target: FloatArray,
    outside: FloatArray,
    ends: Ends,
    threshold: float,
    divisible: bool,
    cuts: IntArray,
) -> int:
    """Boundaries to evaluate next between two prefixes, written to `cuts`.

    Args:
        low: smallest p/q of the cells between the prefixes, shape (c,), c >= 1.
        high: largest p/q.
        target: p of the tokens in front of each cell; entry 0 is not used.
        outside: q of the tokens not in front of each cell; entry 0 is not used.
        ends: what is known of the prefixes a and b.
        threshold: objectives at or above this are of no interest.
        divisible: whether cells hold several tokens, so that a minimum can lie inside one.
        cuts: written, room for `MOST_CUTS`: cells in front of which to evaluate, 1..c - 1, with
            repeats.

    Returns:
        How many; 0 if nothing below the threshold is possible, -1 if the one cell there is has to
        be divided.

    Example:
        >>> low, high = np.array([0.0, 1.0]), np.array([1.0, np.inf])
        >>> ends = Ends(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0)
        >>> target, outside, cuts = np.array([0.0, 0.2]), np.array([1.0, 0.5]), np.empty(9, int)
        >>> cut_cells(low, high, target, outside, ends, 0.0, True, cuts), int(cuts[0])
        (1, 1)
    """
    count = len(low)
    falling = ends.slope_a >= high[count - 1]
    rising = ends.slope_b <= low[0]
    if falling or rising or ends.outside_a <= ends.outside_b:
        return 0
    # Cells before `left` lower the objective, those from `right` on raise it.
    left = int(np.searchsorted(high, ends.slope_a, side="right"))
    right = max(left, int(np.searchsorted(low, ends.slope_b, side="left")))
    left, right = _possible(low, high, target, outside, ends, threshold, divisible, left, right)
    if left > right:
        return 0
    if count == 1:
        return -1
    return _choose_cuts(low, high, outside, ends, left, right, cuts)


@njit(cache=True, nogil=True)
def _possible(
    low: FloatArray,
    high: FloatArray,
    target: FloatArray,
    outside: FloatArray,
    ends: Ends,
    threshold: float,
    divisible: bool,
    left: int,
    right: int,
) -> tuple[int, int]:
    """First and last boundary in [left, right] around which the objective may be below `threshold`.

    The objective is at least p(H) minus the chord of F_n. Inside a cell p(H), as a function of
    q(H), lies above its tangents at both ends.
    """
    count = len(low)
    chord = (ends.contained_b - ends.contained_a) / (ends.outside_a - ends.outside_b)
    first, last = right + 1, left - 1
    value, behind = 0.0, 0.0
    for k in range(left, right + 1):
        value_before, behind_before = value, behind
        if k == 0:
            value, behind = ends.target_a - ends.contained_a, ends.outside_a
        elif k == count:
            value, behind = ends.target_b - ends.contained_b, ends.outside_b
        else:
            behind = outside[k]
            value = target[k] - ends.contained_a - chord * (ends.outside_a - behind)
            if value < threshold:
                first = min(first, k)
                last = k
        if divisible and k > left:
            fall, rise = chord - low[k - 1], high[k - 1] - chord
            span = behind_before - behind
            if lowest_between(value_before, value, span, fall, rise) < threshold:
                first = min(first, k - 1)
                last = k
    return first, last


@njit(cache=True, nogil=True)
def _expected_slope(ends: Ends, outside: float) -> float:
    """Slope of F_n in between: the quadratic through both slopes with the right integral."""
    span = ends.outside_a - ends.outside_b
    share = (ends.outside_a - outside) / span
    chord = (ends.contained_b - ends.contained_a) / span
    bend = 6.0 * (chord - 0.5 * (ends.slope_a + ends.slope_b))
    slope = ends.slope_a + (ends.slope_b - ends.slope_a) * share + bend * share * (1.0 - share)
    return min(max(slope, ends.slope_a), ends.slope_b)


@njit(cache=True, nogil=True)
def _crossing(
    low: FloatArray, high: FloatArray, outside: FloatArray, ends: Ends, left: int, right: int
) -> int:
    """Boundary where p/q is expected to rise above the slope of F_n."""
    below, above = max(left - 1, 0), right
    while above - below > 1:
        middle = (below + above) // 2
        if 0.5 * (low[middle] + high[middle]) < _expected_slope(ends, outside[middle]):
            below = middle
        else:
            above = middle
    return above


@njit(cache=True, nogil=True)
def _choose_cuts(
    low: FloatArray,
    high: FloatArray,
    outside: FloatArray,
    ends: Ends,
    left: int,
    right: int,
    cuts: IntArray,
) -> int:
    """The expected crossing, and from both sides the boundaries that will exclude what is left.

    A point at `left` excludes the cells whose p/q is below its slope, up to the next one of the
    chain, and so on towards the crossing.
    """
    count = len(low)
    crossing = _crossing(low, high, outside, ends, left, right)
    found = 0
    for k in range(max(crossing - 1, 1), min(crossing + 2, count)):
        cuts[found] = k
        found += 1
    for _ in range(_CHAIN):
        if 0 < left < count:
            cuts[found] = left
            found += 1
        if 0 < right < count:
            cuts[found] = right
            found += 1
        slope = _expected_slope(ends, outside[left]) if 0 < left < count else ends.slope_a
        while left < crossing and high[left] <= slope:
            left += 1
        slope = _expected_slope(ends, outside[right]) if right < count else ends.slope_b
        while right > crossing and low[right - 1] >= slope:
            right -= 1
    return found
