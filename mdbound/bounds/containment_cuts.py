"""Where between two evaluated prefixes the minimum of p(H) - F_n(H) can still be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.ratio_partition import HIGH, LOW, OUTSIDE, TARGET
from mdbound.bounds.slope_bound import lowest_between

MOST_ADDED = 0.5
"""The polynomial through the left prefix is used up to this share of the mass outside: there its
error is at most three times that of a containment."""

_NEAR = 8  # a lowest bound within this part of what is possible is taken to lie at its end


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
    cells: FloatArray,
    ends: Ends,
    shares: FloatArray,
    threshold: float,
    divisible: bool,
    work: FloatArray,
) -> tuple[float, int]:
    """Lower bound on the objective between two prefixes, and the boundary to evaluate next.

    Args:
        cells: `Cells.values` from the first cell between the prefixes to the boundary behind the
            last one, shape (4, c + 1), c >= 1.
        ends: what is known of the prefixes a and b.
        shares: of fluid arrivals at a, shape (n + 1,) (`mdbound.bounds.fluid_arrivals`).
        threshold: objectives at or above this are of no interest.
        divisible: whether cells hold several tokens, so that a minimum can lie inside one.
        work: scratch, shape (3, c + 1) or more.

    Returns:
        The bound, infinite if nothing below the threshold is possible; and the cell in front of
        which to evaluate, 1..c - 1, or 0 if the one cell there is has to be divided.

    Example:
        >>> cells = np.array([[0.0, 1.0, 0.0], [1.0, 9.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.5, 0.0]])
        >>> ends = Ends(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0)
        >>> bound, cut = cut_cells(cells, ends, np.array([0., 0., 1.]), 0.0, True, np.empty((3, 3)))
        >>> round(bound, 6), cut
        (-0.05, 1)
    """
    count = cells.shape[1] - 1
    left, right = 0, count
    if ends.outside_a <= ends.outside_b:
        return np.inf, 0
    # Cells before `left` lower the objective, those from `right` on raise it.
    left = _first_above(cells[HIGH], count, ends.slope_a)
    right = max(left, _first_from(cells[LOW], count, ends.slope_b))
    if left == count or right == 0:
        return np.inf, 0
    _fluid_bounds(cells, ends, shares, left, right, work)
    first, last, lowest, place = _possible(cells, ends, threshold, divisible, left, right, work)
    if first > last:
        return np.inf, 0
    if count == 1:
        return lowest, 0
    return lowest, _choose_cut(first, last, place, count)


@njit(cache=True, nogil=True)
def _first_above(ascending: FloatArray, count: int, value: float) -> int:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] > value:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, nogil=True)
def _first_from(ascending: FloatArray, count: int, value: float) -> int:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] >= value:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, nogil=True, fastmath={"contract"})
def _fluid_bounds(
    cells: FloatArray, ends: Ends, shares: FloatArray, left: int, right: int, work: FloatArray
) -> None:
    """Upper bounds on F_n at the boundaries, and their slopes, from the polynomial of a.

    Where that is not used the bound is infinite, and so is the slope.
    """
    inverse = 1.0 / ends.outside_a
    added, bound, slope = work[0], work[1], work[2]
    for k in range(left, right + 1):
        added[k] = (ends.outside_a - cells[OUTSIDE, k]) * inverse
        bound[k] = 0.0
        slope[k] = 0.0
    if left == 0:
        added[0] = 0.0
    if right == cells.shape[1] - 1:
        added[right] = (ends.outside_a - ends.outside_b) * inverse
    for m in range(len(shares) - 1, -1, -1):
        for k in range(left, right + 1):
            slope[k] = slope[k] * added[k] + bound[k]
            bound[k] = bound[k] * added[k] + shares[m]
    for k in range(left, right + 1):
        beyond = added[k] > MOST_ADDED
        slope[k] = np.inf if beyond else slope[k] * inverse
        bound[k] = np.inf if beyond else bound[k]


@njit(cache=True, nogil=True)
def _possible(
    cells: FloatArray,
    ends: Ends,
    threshold: float,
    divisible: bool,
    left: int,
    right: int,
    work: FloatArray,
) -> tuple[int, int, float, int]:
    """First and last boundary in [left, right] around which the objective may be below `threshold`.

    Also the lowest bound, and a boundary where or beside which it is. The objective is at least
    p(H) minus the chord of F_n, and at least p(H) minus the polynomial. Inside a cell both, as
    functions of q(H), are bounded by their values and slopes at its boundaries.
    """
    count = cells.shape[1] - 1
    bound, slope = work[1], work[2]
    chord = (ends.contained_b - ends.contained_a) / (ends.outside_a - ends.outside_b)
    first, last = right + 1, left - 1
    lowest, place = np.inf, left
    below_chord, below_fluid, behind = 0.0, 0.0, 0.0
    for k in range(left, right + 1):
        chord_before, fluid_before, behind_before = below_chord, below_fluid, behind
        if k == 0:
            below_chord = below_fluid = ends.target_a - ends.contained_a
            behind = ends.outside_a
        elif k == count:
            below_chord = ends.target_b - ends.contained_b
            below_fluid = ends.target_b - bound[k]
            behind = ends.outside_b
        else:
            behind = cells[OUTSIDE, k]
            line = ends.contained_a + chord * (ends.outside_a - behind)
            below_chord = cells[TARGET, k] - line
            below_fluid = cells[TARGET, k] - bound[k]
            value = max(below_chord, below_fluid)
            if value < threshold:
                first = min(first, k)
                last = k
            if value < lowest:
                lowest, place = value, k
        if divisible and k > left:
            low, high = cells[LOW, k - 1], cells[HIGH, k - 1]
            span = behind_before - behind
            value = lowest_between(chord_before, below_chord, span, chord - low, high - chord)
            if value < threshold and bound[k] < np.inf:
                fall, rise = slope[k] - low, high - slope[k - 1]
                inside = lowest_between(fluid_before, below_fluid, span, fall, rise)
                value = max(value, inside)
            if value < threshold:
                first = min(first, k - 1)
                last = k
            if value < lowest:
                lowest, place = value, k if k < count else k - 1
    return first, last, lowest, place


@njit(cache=True, nogil=True)
def _choose_cut(first: int, last: int, place: int, count: int) -> int:
    """The lowest bound, unless it lies at an end: then the other end of what is possible."""
    margin = (last - first) // _NEAR
    if place - max(first, 0) <= margin and first == 0:
        place = last if last < count else (last + 1) // 2
    elif last - place <= margin and last == count:
        place = first if first > 0 else last // 2
    return min(max(place, 1), count - 1)
