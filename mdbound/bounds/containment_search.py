"""Smallest p(H) - F_n(H) over the prefixes of the order q/p descending, for all n at once.

F_n and its slope are evaluated at a growing set of prefixes (*points*). Along the order, p(H) is
convex in q(H) with slope p_i/q_i, and F_n is convex too (q-convexity, Hu et al. 2025). So between
two points a < b, for each n:

- tokens with p_i/q_i at most the slope of F_n at a lower the objective, those at or above its
  slope at b raise it: only what lies between these two can hold an interior minimum;
- F_n is at most its chord, so the known p(H) of the prefixes between, minus the chord, is a lower
  bound on the objective.

What these two leave is cut: at its ends, and where the slope of F_n, interpolated, meets p_i/q_i.
Points lie at boundaries of segments first, then of buckets, then of tokens; the search ends when
nothing is left that could beat the best point by more than `SEARCH_TOLERANCE`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mdbound.bounds.clock_quadrature import NUM_POWERS, ClockQuadrature
from mdbound.bounds.containment_cuts import MOST_CUTS, Ends, cut_cells
from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.ratio_partition import (
    BoolArray,
    Cells,
    IntArray,
    RatioPartition,
    open_bucket,
    open_segment,
)
from mdbound.bounds.ring_law import (
    RingNodes,
    RingSpace,
    add_heavy,
    add_powers,
    add_tokens,
    containments_and_slopes,
    faint_sums,
    ring_space,
    silent_at_nodes,
)

SEARCH_TOLERANCE = 4e-15
"""Prefixes that cannot beat the best one by more than this are passed over."""

MAX_POINTS = 256
"""Points after which the search gives up (`smallest_objectives` then returns none)."""

FIRST_SPACING = 0.15
"""Draft mass between the first points."""

_BLOCK = 512


class SegmentClocks(NamedTuple):
    """What a segment's tokens add to the law of rung clocks, for going from boundary to boundary.

    Attributes:
        sums: power sums of the light tokens in front of each boundary, shape (S + 1, R + 1).
        first_heavy: heavy tokens in front of each boundary, shape (S + 1,).
        silent: e^(-rate t) of the heavy tokens at the nodes, shape (heavy tokens, J).
    """

    sums: FloatArray
    first_heavy: IntArray
    silent: FloatArray


class Points(NamedTuple):
    """Prefixes evaluated so far, in the order of their evaluation; room for `MAX_POINTS`.

    Attributes:
        size: tokens in the prefix.
        bucket: the bucket whose tokens come next.
        segment: the segment that begins here, or -1 between segment boundaries.
        target: p(H).
        outside: 1 - q(H).
        contained: F_n(H) at index n, shape (MAX_POINTS, N + 1).
        slope: its slope.
        law: of the heavy tokens rung, shape (MAX_POINTS, N, J).
        sums: power sums of the light tokens.
        closed: whether nothing between the point and the next one is of interest any more.
        order: indices of the points by size.
    """

    size: IntArray
    bucket: IntArray
    segment: IntArray
    target: FloatArray
    outside: FloatArray
    contained: FloatArray
    slope: FloatArray
    law: FloatArray
    sums: FloatArray
    closed: BoolArray
    order: IntArray


@njit(cache=True, nogil=True)
def smallest_objectives(
    order: RatioPartition, rule: ClockQuadrature, nodes: RingNodes
) -> tuple[Points, int]:
    """Evaluate points until the best of them is the minimum, for every n = 1..N.

    Args:
        order: the row, by ratio.
        rule: the quadrature for N.
        nodes: the row's nodes.

    Returns:
        The points, and their number; 0 if `MAX_POINTS` were not enough.
    """
    max_drafts = len(rule.series)
    clocks = segment_clocks(order, nodes)
    points = _new_points(max_drafts, len(nodes.times))
    space = ring_space(max_drafts, len(nodes.times))
    used = _first_points(order, rule, nodes, clocks, points, space)
    best = np.zeros(max_drafts + 1)
    cuts = np.empty((MAX_POINTS, 3), dtype=np.int64)
    while True:
        _best_objectives(points, used, best)
        found = _cuts(order, points, used, best, cuts)
        if found == 0:
            return points, used
        if found < 0 or used + found > MAX_POINTS:
            return points, 0
        used = _evaluate_cuts(order, rule, nodes, clocks, points, used, cuts[:found], space)


@njit(cache=True, nogil=True)
def segment_clocks(order: RatioPartition, nodes: RingNodes) -> SegmentClocks:
    """Power sums and heavy tokens of every segment."""
    rates, start = order.rates, order.segments.start
    heavy = 0
    for i in range(len(rates)):
        heavy += 1 if rates[i] > nodes.light_rate else 0
    silent = np.empty((heavy, len(nodes.times)))
    sums = np.zeros((len(start), NUM_POWERS + 1))
    first_heavy = np.zeros(len(start), dtype=np.int64)
    inverse = 1.0 / nodes.light_rate
    heavy = 0
    for s in range(len(start) - 1):
        sums[s + 1] = sums[s]
        for block_start in range(start[s], start[s + 1], _BLOCK):
            block = rates[block_start : min(block_start + _BLOCK, start[s + 1])]
            if faint_sums(block, inverse, nodes.faint_rate, sums[s + 1]) == 0:
                continue
            for i in range(len(block)):
                if block[i] > nodes.light_rate:
                    silent_at_nodes(nodes.times, block[i], silent[heavy])
                    heavy += 1
                elif block[i] > nodes.faint_rate:
                    add_powers(block[i] * inverse, sums[s + 1])
        first_heavy[s + 1] = heavy
    return SegmentClocks(sums, first_heavy, silent)


@njit(cache=True, nogil=True)
def _new_points(max_drafts: int, count: int) -> Points:
    return Points(
        np.empty(MAX_POINTS, dtype=np.int64),
        np.empty(MAX_POINTS, dtype=np.int64),
        np.empty(MAX_POINTS, dtype=np.int64),
        np.empty(MAX_POINTS),
        np.empty(MAX_POINTS),
        np.zeros((MAX_POINTS, max_drafts + 1)),
        np.zeros((MAX_POINTS, max_drafts + 1)),
        np.empty((MAX_POINTS, max_drafts, count)),
        np.empty((MAX_POINTS, NUM_POWERS + 1)),
        np.zeros(MAX_POINTS, dtype=np.bool_),
        np.empty(MAX_POINTS, dtype=np.int64),
    )


@njit(cache=True, nogil=True)
def _first_points(
    order: RatioPartition,
    rule: ClockQuadrature,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    space: RingSpace,
) -> int:
    """The empty prefix, the whole, and segment boundaries about `FIRST_SPACING` apart."""
    segments = order.segments
    last = len(segments.low)
    used = 0
    mass_outside = np.inf
    for s in range(last + 1):
        if s < last and mass_outside - segments.outside[s] < FIRST_SPACING:
            continue
        mass_outside = segments.outside[s]
        _place(points, used, order.segments, s, order.first_bucket[s], s)
        _evaluate(order, rule, nodes, clocks, points, used, used - 1, space)
        points.order[used] = used
        used += 1
    return used


@njit(cache=True, nogil=True)
def _place(
    points: Points, point: int, cells: Cells, boundary: int, bucket: int, segment: int
) -> None:
    points.size[point] = cells.start[boundary]
    points.target[point] = cells.target[boundary]
    points.outside[point] = cells.outside[boundary]
    points.bucket[point] = bucket
    points.segment[point] = segment


@njit(cache=True, nogil=True)
def _evaluate(
    order: RatioPartition,
    rule: ClockQuadrature,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    point: int,
    left: int,
    space: RingSpace,
) -> None:
    """Fill in F_n and slopes of a point from the nearest point on its left (-1: none)."""
    law, sums = points.law[point], points.sums[point]
    size, segment = points.size[point], points.segment[point]
    if left < 0:
        law[:] = 0.0
        law[0] = 1.0
        sums[:] = 0.0
    else:
        law[:] = points.law[left]
        if segment >= 0 and points.segment[left] >= 0:
            sums[:] = clocks.sums[segment]
            begin = clocks.first_heavy[points.segment[left]]
            for heavy in range(begin, clocks.first_heavy[segment]):
                add_heavy(clocks.silent[heavy], law)
        else:
            sums[:] = points.sums[left]
            added = order.rates[points.size[left] : size]
            add_tokens(nodes, added, law, sums, space.decay)
    contained, slope = points.contained[point], points.slope[point]
    outside = points.outside[point]
    containments_and_slopes(rule, nodes, law, sums, outside, space, contained, slope)
    contained[1], slope[1] = 1.0 - outside, 1.0
    for n in range(1, len(contained)):
        if size < n:
            contained[n] = 0.0
        if size < n - 1:
            slope[n] = 0.0
        if size == len(order.rates):
            contained[n] = 1.0


@njit(cache=True, nogil=True)
def _best_objectives(points: Points, used: int, best: FloatArray) -> None:
    best[:] = 0.0
    for point in range(used):
        for n in range(1, len(best)):
            best[n] = min(best[n], points.target[point] - points.contained[point, n])


@njit(cache=True, nogil=True)
def _cuts(
    order: RatioPartition, points: Points, used: int, best: FloatArray, cuts: IntArray
) -> int:
    """Next points, as (tokens, level, index): level 0 for segments, 1 buckets, 2 tokens.

    They come sorted by the number of tokens, each once, and none is a point already. -1: too many.
    """
    found = 0
    for rank in range(used - 1):
        a, b = points.order[rank], points.order[rank + 1]
        if points.closed[a]:
            continue
        before = found
        if points.size[b] - points.size[a] > 1:
            found = _cuts_between(order, points, a, b, best, cuts, found)
        if found < 0:
            return -1
        # For good, since the best objectives only fall; a cut opens it again.
        points.closed[a] = found == before
    return found


@njit(cache=True, nogil=True)
def _cuts_between(
    order: RatioPartition,
    points: Points,
    a: int,
    b: int,
    best: FloatArray,
    cuts: IntArray,
    found: int,
) -> int:
    """Insert cuts between two neighbouring points, at the coarsest level that has any."""
    first = found
    divided = False
    if points.segment[a] >= 0 and points.segment[b] >= 0:
        begin, end = points.segment[a], points.segment[b]
        found, divided = _cut_level(order.segments, 0, begin, end, points, a, b, best, cuts, first)
        if not divided:
            return found
    segment = np.searchsorted(order.segments.start, points.size[a], side="right") - 1
    open_segment(order, segment)
    begin, end = points.bucket[a], points.bucket[b]
    bucket_start = order.buckets.start
    if bucket_start[begin] == points.size[a] and bucket_start[end] == points.size[b]:
        found, divided = _cut_level(order.buckets, 1, begin, end, points, a, b, best, cuts, first)
        if not divided:
            return found
    open_bucket(order, segment, begin)
    begin, end = points.size[a], points.size[b]
    found, _ = _cut_level(order.tokens, 2, begin, end, points, a, b, best, cuts, first)
    return found


@njit(cache=True, nogil=True)
def _cut_level(
    cells: Cells,
    level: int,
    begin: int,
    end: int,
    points: Points,
    a: int,
    b: int,
    best: FloatArray,
    cuts: IntArray,
    first: int,
) -> tuple[int, bool]:
    """Insert the cuts of one level for every n; also, whether its one cell has to be divided."""
    low, high = cells.low[begin:end], cells.high[begin:end]
    target, outside = cells.target[begin:end], cells.outside[begin:end]
    inside = np.empty(MOST_CUTS, dtype=np.int64)
    found = first
    divided = False
    for n in range(1, len(best)):
        threshold = best[n] - SEARCH_TOLERANCE
        ends = _ends(points, a, b, n)
        count = cut_cells(low, high, target, outside, ends, threshold, level < 2, inside)
        divided = divided or count < 0
        for k in range(count):
            boundary = begin + inside[k]
            found = _insert(cells.start[boundary], level, boundary, cuts, first, found)
            if found < 0:
                return -1, False
    return found, divided


@njit(cache=True, nogil=True)
def _ends(points: Points, a: int, b: int, n: int) -> Ends:
    return Ends(
        points.target[a],
        points.outside[a],
        points.contained[a, n],
        points.slope[a, n],
        points.target[b],
        points.outside[b],
        points.contained[b, n],
        points.slope[b, n],
    )


@njit(cache=True, nogil=True)
def _insert(size: int, level: int, index: int, cuts: IntArray, first: int, found: int) -> int:
    """Insert a cut into the sorted ones from `first` on; the new number, or -1: too many."""
    place = found
    while place > first and cuts[place - 1, 0] > size:
        place -= 1
    if place > first and cuts[place - 1, 0] == size:
        return found
    if found == len(cuts):
        return -1
    for k in range(found, place, -1):
        for column in range(3):
            cuts[k, column] = cuts[k - 1, column]
    cuts[place, 0], cuts[place, 1], cuts[place, 2] = size, level, index
    return found + 1


@njit(cache=True, nogil=True)
def _evaluate_cuts(
    order: RatioPartition,
    rule: ClockQuadrature,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    used: int,
    cuts: IntArray,
    space: RingSpace,
) -> int:
    """Make points of the cuts and merge them into the order; the new number of points."""
    old = points.order[:used].copy()
    rank = merged = 0
    for k in range(len(cuts)):
        size, level, index = cuts[k, 0], cuts[k, 1], cuts[k, 2]
        while rank < len(old) and points.size[old[rank]] < size:
            points.order[merged] = old[rank]
            merged += 1
            rank += 1
        if level == 0:
            _place(points, used, order.segments, index, order.first_bucket[index], index)
        elif level == 1:
            _place(points, used, order.buckets, index, index, -1)
        else:
            bucket = np.searchsorted(order.buckets.start, size, side="right") - 1
            _place(points, used, order.tokens, size, bucket, -1)
        left = points.order[merged - 1]
        _evaluate(order, rule, nodes, clocks, points, used, left, space)
        points.order[merged] = used
        merged += 1
        used += 1
    points.order[merged:used] = old[rank:]
    return used
