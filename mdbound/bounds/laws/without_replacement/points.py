"""Prefixes evaluated so far: their masses, the law of their clocks, F_n and how it grows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.without_replacement.fluid_arrivals import ArrivalScratch, arrival_shares
from mdbound.bounds.laws.without_replacement.partition import (
    HIGH,
    LOW,
    NUM_SEGMENTS,
    OUTSIDE,
    TARGET,
    Cells,
    RatioPartition,
)
from mdbound.bounds.laws.without_replacement.ring_law import (
    RingNodes,
    add_heavy,
    add_tokens,
    large_tokens,
)
from mdbound.bounds.numerics.clock_quadrature import NUM_POWERS
from mdbound.bounds.numerics.compiled.array_loops import copy
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray

SIZE, BUCKET, SEGMENT, AFTER, LEVEL, CUT = range(6)
"""Columns of `Points.place`."""

LOWEST = 4
"""Column of `Points.mass`, beside `LOW`, `HIGH`, `TARGET` and `OUTSIDE`."""


class SegmentClocks(NamedTuple):
    """What a segment's tokens add to the law of rung clocks, for going from boundary to boundary.

    Attributes:
        sums: power sums of the light tokens in front of each boundary, shape (S + 1, R + 1).
        first_heavy: heavy tokens in front of each boundary, shape (S + 1,).
        heavy: their rates, by segment; behind these, room for as many once more.
        large: `ring_law.large_tokens`.
    """

    sums: FloatArray
    first_heavy: IntArray
    heavy: FloatArray
    large: IntArray


class Points(NamedTuple):
    """Prefixes evaluated so far, in the order of their evaluation; room for M.

    Attributes:
        place: shape (M, 6). `SIZE`: tokens in the prefix; `BUCKET`: the bucket whose tokens come
            next; `SEGMENT`: the segment that begins here, or -1 between segment boundaries;
            `AFTER`: the next point by size, or -1; `LEVEL` and `CUT`: where to evaluate next
            before that (0 segments, 1 buckets, 2 tokens; boundary).
        mass: shape (M, 5). `TARGET`: p(H); `OUTSIDE`: 1 - q(H); `LOW`: bound below p/q of the
            tokens behind; `HIGH`: bound above p/q of those in front; `LOWEST`: bound on the
            objective up to the next point, for the n at hand, infinite where nothing is of
            interest any more.
        shares: of fluid arrivals, [n, m]; F_n at m = 0, shape (M, N + 1, N + 1).
        slope: of F_n, shape (M, N + 1).
        law: of the heavy tokens rung, shape (M, N, J or more).
        sums: power sums of the light tokens, shape (M, R + 1).
    """

    place: IntArray
    mass: FloatArray
    shares: FloatArray
    slope: FloatArray
    law: FloatArray
    sums: FloatArray


def clock_scratch(vocab_size: int) -> SegmentClocks:
    """Scratch for one thread.

    Example:
        >>> clock_scratch(10).large.shape
        (11,)
    """
    return SegmentClocks(
        np.empty((NUM_SEGMENTS + 1, NUM_POWERS + 1)),
        np.empty(NUM_SEGMENTS + 1, dtype=np.int64),
        np.empty(2 * vocab_size),
        np.empty(vocab_size + 1, dtype=np.int64),
    )


@kernel
def segment_clocks(
    order: RatioPartition, nodes: RingNodes, scratch: SegmentClocks
) -> SegmentClocks:
    """Power sums and heavy tokens of every segment, in arrays of `clock_scratch`."""
    rates, start = order.rates, order.segments.start
    large = scratch.large[: large_tokens(rates, nodes.faint_rate, scratch.large)]
    sums, found = scratch.sums, 0
    sums[0] = 0.0
    scratch.first_heavy[0] = 0
    for s in range(len(start) - 1):
        copy(sums[s], sums[s + 1])
        found = add_tokens(
            nodes, rates, large, start[s], start[s + 1], sums[s + 1], scratch.heavy, found
        )
        scratch.first_heavy[s + 1] = found
    return SegmentClocks(sums, scratch.first_heavy, scratch.heavy, large)


@kernel
def new_points(count: int, max_drafts: int, nodes: int) -> Points:
    """Room for so many points.

    Example:
        >>> new_points(2, 8, 48).law.shape
        (2, 8, 48)
    """
    return Points(
        np.empty((count, 6), dtype=np.int64),
        np.empty((count, 5)),
        np.zeros((count, max_drafts + 1, max_drafts + 1)),
        np.zeros((count, max_drafts + 1)),
        np.empty((count, max_drafts, nodes)),
        np.empty((count, NUM_POWERS + 1)),
    )


@kernel
def place_point(
    points: Points, point: int, cells: Cells, boundary: int, bucket: int, segment: int
) -> None:
    """Put a point at a boundary of cells; not evaluated yet."""
    values = cells.values
    points.place[point, SIZE] = cells.start[boundary]
    points.place[point, BUCKET] = bucket
    points.place[point, SEGMENT] = segment
    points.mass[point, TARGET] = values[TARGET, boundary]
    points.mass[point, OUTSIDE] = values[OUTSIDE, boundary]
    points.mass[point, LOW] = values[LOW, boundary] if boundary < len(cells.start) - 1 else np.inf
    points.mass[point, HIGH] = values[HIGH, boundary - 1] if boundary > 0 else 0.0


@kernel
def evaluate_point(
    rates: FloatArray,
    nodes: RingNodes,
    clocks: SegmentClocks,
    points: Points,
    point: int,
    left: int,
    scratch: ArrivalScratch,
) -> None:
    """Fill in shares and slopes of a point from the nearest point on its left (-1: none)."""
    law, sums = points.law[point], points.sums[point]
    size, segment = points.place[point, SIZE], points.place[point, SEGMENT]
    if left < 0:
        law[:] = 0.0
        law[0] = 1.0
        sums[:] = 0.0
    else:
        _copy_law(points.law, left, point, nodes.grid.shape[1])
        before = points.place[left, SEGMENT]
        if segment >= 0 and before >= 0:
            copy(clocks.sums[segment], sums)
            heavy = clocks.heavy[clocks.first_heavy[before] : clocks.first_heavy[segment]]
            add_heavy(nodes.grid, heavy, law)
        else:
            copy(points.sums[left], sums)
            heavy, first = clocks.heavy, len(clocks.large)
            start = points.place[left, SIZE]
            last = add_tokens(nodes, rates, clocks.large, start, size, sums, heavy, first)
            add_heavy(nodes.grid, heavy[first:last], law)
    outside = points.mass[point, OUTSIDE]
    shares, slope = points.shares[point], points.slope[point]
    arrival_shares(nodes, law, sums, outside, scratch, shares, slope)
    for n in range(1, len(slope)):
        if size < n:
            shares[n, 0] = 0.0
        if size < n - 1:
            slope[n] = 0.0
        if size == len(rates):
            shares[n, 0] = 1.0


@kernel
def _copy_law(law: FloatArray, source: int, point: int, count: int) -> None:
    for m in range(law.shape[1]):
        for j in range(count):
            law[point, m, j] = law[source, m, j]


@kernel
def doubled_points(points: Points) -> Points:
    """The same points with room for twice as many."""
    room, max_drafts, nodes = points.law.shape
    larger = new_points(2 * room, max_drafts, nodes)
    copy(points.place.reshape(-1), larger.place.reshape(-1))
    copy(points.mass.reshape(-1), larger.mass.reshape(-1))
    copy(points.shares.reshape(-1), larger.shares.reshape(-1))
    copy(points.slope.reshape(-1), larger.slope.reshape(-1))
    copy(points.law.reshape(-1), larger.law.reshape(-1))
    copy(points.sums.reshape(-1), larger.sums.reshape(-1))
    return larger
