"""Smallest p(H) - F_n(H) over the prefixes of the order q/p descending, for n = 1..N.

F_n, its slope and the shares of fluid arrivals are evaluated at a growing set of prefixes
(*points*), which all n share. Along the order, p(H) is convex in q(H) with slope p_i/q_i, and F_n
is convex too (q-convexity, Hu et al. 2025). So between two points a < b:

- tokens with p_i/q_i at most the slope of F_n at a lower the objective, those at or above its
  slope at b raise it: only what lies between these two can hold an interior minimum;
- F_n is at most its chord, and at most the polynomial of `fluid_arrivals` at a;
  the known p(H) of the prefixes between, minus either, is a lower bound on the objective.

The interval with the lowest bound is cut, at a boundary of segments, then of buckets, then of
tokens, until no bound is below the best point by more than `SEARCH_TOLERANCE`.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.laws.without_replacement.cuts import Ends, cut_cells
from mdbound.bounds.laws.without_replacement.fluid_arrivals import ArrivalScratch
from mdbound.bounds.laws.without_replacement.partition import (
    HIGH,
    LOW,
    OUTSIDE,
    TARGET,
    RatioPartition,
    open_bucket,
    open_segment,
)
from mdbound.bounds.laws.without_replacement.points import (
    AFTER,
    BUCKET,
    CUT,
    LEVEL,
    LOWEST,
    SEGMENT,
    SIZE,
    Points,
    SegmentClocks,
    doubled_points,
    evaluate_point,
    new_points,
    place_point,
    segment_clocks,
)
from mdbound.bounds.laws.without_replacement.ring_law import RingNodes, first_from, renew_large
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray

SEARCH_TOLERANCE = 4e-15
"""Prefixes that cannot beat the best one by more than this are passed over: less, and rounding of
the bounds opens more of them; more, and the error bound grows. The other laws search other bounds,
with tolerances of their own."""

FIRST_SPACING = 0.15
"""Draft mass between the first points."""

MANY_POINTS = 512
"""Beyond this, intervals are no longer taken in the order of their bounds."""

_SETTLED, _ROOM, _SEGMENT, _BUCKET, _DEEPER = 0, 1, 2, 3, 4
"""What `_bound_levels` may need: nothing more, longer scratch, a segment or a bucket opened; and
what a level may say: that the next one has to look."""


@kernel
def smallest_objectives(
    order: RatioPartition,
    nodes: RingNodes,
    max_drafts: int,
    unfilled: SegmentClocks,
    points: Points,
    scratch: ArrivalScratch,
) -> tuple[Points, int]:
    """Evaluate points until the best of them is the minimum, for every n = 1..max_drafts.

    Args:
        order: the row, by ratio.
        nodes: the row's nodes, for at least max_drafts.
        max_drafts: N.
        unfilled: scratch of `clock_scratch`.
        points: scratch for them.
        scratch: scratch.

    Returns:
        The points (in larger arrays if these were too small), and their number.
    """
    clocks = segment_clocks(order, nodes, unfilled)
    if points.law.shape[2] < nodes.grid.shape[1]:
        points = new_points(16, points.law.shape[1], nodes.grid.shape[1])
    cut_scratch = scratch.cuts
    points, used = _first_points(order, nodes, clocks, points, scratch)
    for n in range(1, max_drafts + 1):
        best = _best_objective(points.mass, points.shares, used, n)
        cut_scratch = _bound_all(
            order, nodes, clocks, points, n, best - SEARCH_TOLERANCE, cut_scratch
        )
        left = 0
        while True:
            left = _next_interval(points.mass, points.place, used, left, best - SEARCH_TOLERANCE)
            if left < 0:
                break
            if used == len(points.mass):
                points = doubled_points(points)
            _cut(order, points, left, used)
            evaluate_point(order.rates, nodes, clocks, points, used, left, scratch)
            best = min(best, points.mass[used, TARGET] - points.shares[used, n, 0])
            for a in (left, used):
                cut_scratch = _bound(
                    order, nodes, clocks, points, a, n, best - SEARCH_TOLERANCE, cut_scratch
                )
            used += 1
    return points, used


@kernel
def _best_objective(mass: FloatArray, shares: FloatArray, used: int, n: int) -> float:
    best = 0.0
    for point in range(used):
        best = min(best, mass[point, TARGET] - shares[point, n, 0])
    return best


@kernel
def _first_points(
    order: RatioPartition,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    scratch: ArrivalScratch,
) -> tuple[Points, int]:
    """The empty prefix, the whole, and segment boundaries about `FIRST_SPACING` apart."""
    outside = order.segments.values[OUTSIDE]
    last = len(order.segments.start) - 1
    used = 0
    mass_outside = np.inf
    for s in range(last + 1):
        if s < last and mass_outside - outside[s] < FIRST_SPACING:
            continue
        mass_outside = outside[s]
        if used == len(points.mass):
            points = doubled_points(points)
        place_point(points, used, order.segments, s, order.first_bucket[s], s)
        evaluate_point(order.rates, nodes, clocks, points, used, used - 1, scratch)
        points.place[used, AFTER] = -1
        if used > 0:
            points.place[used - 1, AFTER] = used
        used += 1
    return points, used


@kernel
def _cut(order: RatioPartition, points: Points, left: int, point: int) -> None:
    """Place a new point between `left` and the one after it."""
    level, boundary = points.place[left, LEVEL], points.place[left, CUT]
    if level == 0:
        place_point(points, point, order.segments, boundary, order.first_bucket[boundary], boundary)
    elif level == 1:
        place_point(points, point, order.buckets, boundary, boundary, -1)
    else:
        place_point(points, point, order.tokens, boundary, points.place[left, BUCKET], -1)
    points.place[point, AFTER] = points.place[left, AFTER]
    points.place[left, AFTER] = point


@kernel
def _next_interval(
    mass: FloatArray, place: IntArray, used: int, left: int, threshold: float
) -> int:
    """Left point of the interval with the lowest bound, -1 if none is below the threshold."""
    if used > MANY_POINTS:
        for first in (left, 0):
            point = first
            while point >= 0:
                if mass[point, LOWEST] < threshold:
                    return point
                point = place[point, AFTER]
        return -1
    best = 0
    for point in range(1, used):
        if mass[point, LOWEST] < mass[best, LOWEST]:
            best = point
    return best if mass[best, LOWEST] < threshold else -1


@kernel
def _bound_all(
    order: RatioPartition,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    n: int,
    threshold: float,
    cut_scratch: FloatArray,
) -> FloatArray:
    """`_bound` between all neighbours, which the slopes at the points exclude for the most part."""
    place, mass, slope = points.place, points.mass, points.slope
    a = 0
    while place[a, AFTER] >= 0:
        b = place[a, AFTER]
        if slope[a, n] >= mass[b, HIGH] or slope[b, n] <= mass[a, LOW]:
            mass[a, LOWEST] = np.inf
        else:
            cut_scratch = _bound(order, nodes, clocks, points, a, n, threshold, cut_scratch)
        a = b
    mass[a, LOWEST] = np.inf
    return cut_scratch


@kernel
def _bound(
    order: RatioPartition,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    a: int,
    n: int,
    threshold: float,
    cut_scratch: FloatArray,
) -> FloatArray:
    """Bound the objective between a point and the next, and choose where to cut, at what level.

    Returns:
        The scratch array, which may have grown.
    """
    while True:
        # Array by array: a tuple of tuples is unpacked, and its references counted, at every call.
        needed = _bound_levels(
            order.segments.values,
            order.buckets.start,
            order.buckets.values,
            order.tokens.values,
            order.opened,
            points.place,
            points.mass,
            points.shares,
            points.slope,
            a,
            n,
            threshold,
            cut_scratch,
        )
        if needed == _SETTLED:
            return cut_scratch
        cut_scratch = _open(order, nodes, clocks.large, points, a, needed, cut_scratch)


@kernel
def _open(
    order: RatioPartition,
    nodes: RingNodes,
    large: IntArray,
    points: Points,
    a: int,
    needed: int,
    cut_scratch: FloatArray,
) -> FloatArray:
    """Do what `_bound_levels` needs: open the segment or bucket behind a point, or give it room."""
    bucket = points.place[a, BUCKET]
    segment = first_from(order.first_bucket, bucket + 1) - 1
    if needed == _SEGMENT:
        open_segment(order, segment)
    elif needed == _BUCKET:
        open_bucket(order, segment, bucket)
        start, stop = order.buckets.start[bucket], order.buckets.start[bucket + 1]
        renew_large(order.rates, nodes.faint_rate, start, stop, large)
    else:
        cells = points.place[points.place[a, AFTER], SIZE] - points.place[a, SIZE]
        cut_scratch = np.empty((3, cells + 1))
    return cut_scratch


# Long by its arguments: see its caller.
@kernel
def _bound_levels(
    segments: FloatArray,
    bucket_start: IntArray,
    buckets: FloatArray,
    tokens: FloatArray,
    opened: BoolArray,
    place: IntArray,
    mass: FloatArray,
    shares: FloatArray,
    slope: FloatArray,
    a: int,
    n: int,
    threshold: float,
    cut_scratch: FloatArray,
) -> int:
    """Bound by segments, by buckets or by tokens, the first level that settles it or needs more."""
    b = place[a, AFTER]
    mass[a, LOWEST] = np.inf
    falling, rising = slope[a, n] >= mass[b, HIGH], slope[b, n] <= mass[a, LOW]
    if falling or rising or place[b, SIZE] - place[a, SIZE] < 2:
        return _SETTLED
    ends = Ends(
        mass[a, TARGET],
        mass[a, OUTSIDE],
        shares[a, n, 0],
        slope[a, n],
        mass[b, TARGET],
        mass[b, OUTSIDE],
        shares[b, n, 0],
        slope[b, n],
    )
    outcome = _DEEPER
    at = (a, n)
    if place[a, SEGMENT] >= 0 and place[b, SEGMENT] >= 0:
        cells = (place[a, SEGMENT], place[b, SEGMENT])
        outcome = _bound_by(
            segments, cells, 0, ends, shares, at, threshold, place, mass, cut_scratch
        )
    begin, end = place[a, BUCKET], place[b, BUCKET]
    if outcome == _DEEPER and not opened[0, begin]:
        outcome = _SEGMENT
    whole = bucket_start[begin] == place[a, SIZE] and bucket_start[end] == place[b, SIZE]
    if outcome == _DEEPER and whole:
        cells = (begin, end)
        outcome = _bound_by(
            buckets, cells, 1, ends, shares, at, threshold, place, mass, cut_scratch
        )
    if outcome == _DEEPER and not opened[1, begin]:
        outcome = _BUCKET
    if outcome == _DEEPER:
        cells = (place[a, SIZE], place[b, SIZE])
        outcome = _bound_by(tokens, cells, 2, ends, shares, at, threshold, place, mass, cut_scratch)
    return outcome


@kernel
def _bound_by(
    values: FloatArray,
    cells: tuple[int, int],
    level: int,
    ends: Ends,
    shares: FloatArray,
    at: tuple[int, int],
    threshold: float,
    place: IntArray,
    mass: FloatArray,
    cut_scratch: FloatArray,
) -> int:
    """Bound by the cells of one level, and note bound and cut at the point.

    Args:
        values: of the level's cells.
        cells: the first cell between the prefixes, and the boundary behind the last.
        level: 0 for segments, 1 for buckets, 2 for tokens.
        ends: as for `cut_cells`.
        shares: likewise.
        at: the point on the left, and n.
        threshold: as for `cut_cells`.
        place: of all points, updated.
        mass: of all points, updated.
        cut_scratch: as for `cut_cells`.

    Returns:
        `_SETTLED`; `_ROOM` if the scratch is too small; `_DEEPER` if a single cell is left.
    """
    (begin, end), (a, n) = cells, at
    if cut_scratch.shape[1] <= end - begin:
        return _ROOM
    divisible = level < 2
    lowest, cut = cut_cells(
        values, begin, end, ends, shares, a, n, threshold, divisible, cut_scratch
    )
    if divisible and lowest < np.inf and cut == begin:
        return _DEEPER
    mass[a, LOWEST] = lowest
    place[a, LEVEL], place[a, CUT] = level, cut
    return _SETTLED
