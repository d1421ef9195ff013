"""Where between two evaluated prefixes the minimum of p(H) - F_n(H) can still be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mdbound.bounds.laws.without_replacement.partition import HIGH, LOW, OUTSIDE, TARGET
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.slope_bound import lowest_between
from mdbound.bounds.problem.array_types import FloatArray

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


# Long: one loop over the boundaries carries the bounds at the one before; parts would hand on
# six numbers.
@kernel
def cut_cells(
    cells: FloatArray,
    begin: int,
    end: int,
    ends: Ends,
    shares: FloatArray,
    a: int,
    n: int,
    threshold: float,
    divisible: bool,
    cut_scratch: FloatArray,
) -> tuple[float, int]:
    """Lower bound on the objective between two prefixes, and the boundary to evaluate next.

    Args:
        cells: `Cells.values`.
        begin: the first cell between the prefixes.
        end: the boundary behind the last one.
        ends: what is known of the prefixes a and b.
        shares: of fluid arrivals at all points, [point, n, m] (`fluid_arrivals`).
        a: the point on the left.
        n: number of drafts.
        threshold: objectives at or above this are of no interest.
        divisible: whether cells hold several tokens, so that a minimum can lie inside one.
        cut_scratch: scratch, shape (3, end - begin + 1) or more.

    Returns:
        The bound, infinite if nothing below the threshold is possible; and the cell in front of
        which to evaluate, or `begin` if the one cell there is has to be divided.

    Example:
        >>> cells = np.array([[0.0, 1.0, 0.0], [1.0, 9.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.5, 0.0]])
        >>> ends = Ends(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0)
        >>> shares = np.ones((1, 3, 3)) * [0.0, 0.0, 1.0]
        >>> bound, cut = cut_cells(cells, 0, 2, ends, shares, 0, 2, 0.0, True, np.empty((3, 3)))
        >>> round(bound, 6), cut
        (-0.3, 1)
    """
    # Cells before `left` lower the objective, those from `right` on raise it.
    left = _first_above(cells, HIGH, begin, end, ends.slope_a, False)
    right = max(left, _first_above(cells, LOW, begin, end, ends.slope_b, True))
    if left == end or right == begin or ends.outside_a <= ends.outside_b:
        return np.inf, begin
    _fluid_bounds(cells, begin, end, ends, shares, a, n, left, right, cut_scratch)
    chord = (ends.contained_b - ends.contained_a) / (ends.outside_a - ends.outside_b)
    first, last = right + 1, left - 1
    lowest, place = np.inf, left
    below_chord, below_fluid, behind = 0.0, 0.0, 0.0
    for k in range(left, right + 1):
        chord_before, fluid_before, behind_before = below_chord, below_fluid, behind
        bound = cut_scratch[1, k - begin]
        if k == begin:
            below_chord = below_fluid = ends.target_a - ends.contained_a
            behind = ends.outside_a
        elif k == end:
            below_chord = ends.target_b - ends.contained_b
            below_fluid = ends.target_b - bound
            behind = ends.outside_b
        else:
            behind = cells[OUTSIDE, k]
            line = ends.contained_a + chord * (ends.outside_a - behind)
            below_chord = cells[TARGET, k] - line
            below_fluid = cells[TARGET, k] - bound
            value = max(below_chord, below_fluid)
            first, last = (min(first, k), k) if value < threshold else (first, last)
            lowest, place = (value, k) if value < lowest else (lowest, place)
        if divisible and k > left:
            value = _bound_inside(
                (cells[LOW, k - 1], cells[HIGH, k - 1]),
                behind_before - behind,
                (chord_before, below_chord, chord),
                (fluid_before, below_fluid),
                (cut_scratch[2, k - 1 - begin], cut_scratch[2, k - begin]),
                threshold,
            )
            first, last = (min(first, k - 1), k) if value < threshold else (first, last)
            lowest, place = (value, min(k, end - 1)) if value < lowest else (lowest, place)
    if first > last:
        return np.inf, begin
    if end - begin == 1:
        return lowest, begin
    return lowest, _choose_cut(begin, end, first, last, place)


@kernel
def _bound_inside(
    ratios: tuple[float, float],
    span: float,
    below_chord: tuple[float, float, float],
    below_fluid: tuple[float, float],
    slopes: tuple[float, float],
    threshold: float,
) -> float:
    """Lower bound on the objective inside one cell, from what is known at its two boundaries.

    Args:
        ratios: least and largest p/q of its tokens.
        span: its draft mass.
        below_chord: the objective less the chord at both boundaries, and the chord's slope.
        below_fluid: the same with the polynomial.
        slopes: of the polynomial there, infinite where it is not used.
        threshold: the polynomial is not asked where the chord's bound is not below this.
    """
    low, high = ratios
    left, right, chord = below_chord
    value = lowest_between(left, right, span, chord - low, high - chord)
    if value < threshold and slopes[1] < np.inf:
        fall, rise = slopes[1] - low, high - slopes[0]
        value = max(value, lowest_between(below_fluid[0], below_fluid[1], span, fall, rise))
    return value


@njit(inline="always")
def _first_above(
    cells: FloatArray, row: int, begin: int, end: int, value: float, equal: bool
) -> int:
    """First cell whose entry in an ascending row is above the value (or equal to it), or `end`."""
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        if cells[row, middle] > value or (equal and cells[row, middle] == value):
            high = middle
        else:
            low = middle + 1
    return low


@kernel(fastmath={"contract"})
def _fluid_bounds(
    cells: FloatArray,
    begin: int,
    end: int,
    ends: Ends,
    shares: FloatArray,
    a: int,
    n: int,
    left: int,
    right: int,
    cut_scratch: FloatArray,
) -> None:
    """Upper bounds on F_n at the boundaries, and their slopes, from the polynomial of a.

    Rows of `cut_scratch`: the part of the mass outside a that is added, the bound, its slope.
    Where the polynomial is not used both are infinite.
    """
    inverse = 1.0 / ends.outside_a
    first, last = left - begin, right - begin + 1
    added, bound, slope = (
        cut_scratch[0, first:last],
        cut_scratch[1, first:last],
        cut_scratch[2, first:last],
    )
    outside = cells[OUTSIDE, left : right + 1]
    for k in range(len(added)):
        added[k] = (ends.outside_a - outside[k]) * inverse
        bound[k] = 0.0
        slope[k] = 0.0
    if left == begin:
        added[0] = 0.0
    if right == end:
        added[-1] = (ends.outside_a - ends.outside_b) * inverse
    for m in range(n, -1, -1):
        share = shares[a, n, m]
        for k in range(len(added)):
            slope[k] = slope[k] * added[k] + bound[k]
            bound[k] = bound[k] * added[k] + share
    for k in range(len(added)):
        beyond = added[k] > MOST_ADDED
        slope[k] = np.inf if beyond else slope[k] * inverse
        bound[k] = np.inf if beyond else bound[k]


@njit(inline="always")
def _choose_cut(begin: int, end: int, first: int, last: int, place: int) -> int:
    """The lowest bound, unless it lies at an end: then the other end of what is possible."""
    margin = (last - first) // _NEAR
    if place - first <= margin and first == begin:
        place = last if last < end else (begin + last + 1) // 2
    elif last - place <= margin and last == end:
        place = first if first > begin else (begin + last) // 2
    return min(max(place, begin + 1), end - 1)
