"""Tokens grouped by p/q without sorting them all: segments, buckets, and tokens on demand.

A counting sort puts the tokens that can be drafted into buckets of p/q, up to 128 to the octave, in
ascending order; every boundary between buckets is a prefix of the order q/p descending. Segments
are runs of buckets (a quarter octave where the optima are). Sums over segments are always there;
sums over the buckets of a segment and the order inside a bucket are made when asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.array_loops import copy, least, most
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.fused_softmax import block_sum
from mdbound.bounds.numerics.vector_exp import float_of_bits
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray

KeyArray = npt.NDArray[np.int16]
CountArray = npt.NDArray[np.int32]

_FINE_LOG2, _COARSE_LOG2 = 7, 4  # keys per octave
_FINE_OCTAVES = 6  # on both sides of 1
_COARSE_OCTAVES = 32  # beyond these, likewise
_FINE_SHIFT, _COARSE_SHIFT = 52 - _FINE_LOG2, 52 - _COARSE_LOG2
_LOW_BASE = (1023 - _FINE_OCTAVES - _COARSE_OCTAVES) << _COARSE_LOG2
_FINE_BASE = (1023 - _FINE_OCTAVES) << _FINE_LOG2
_HIGH_BASE = (1023 + _FINE_OCTAVES) << _COARSE_LOG2
_COARSE_KEYS = _COARSE_OCTAVES << _COARSE_LOG2
_FINE_KEYS = 2 * _FINE_OCTAVES << _FINE_LOG2
NUM_KEYS = _FINE_KEYS + 2 * _COARSE_KEYS
"""Keys 0..NUM_KEYS - 1: p/q from 2^-38 to 2^38, 128 to the octave near 1 and 16 further out; what
lies beyond goes to the first and last."""

_QUARTER_OCTAVES = 3  # up to so many octaves from 1 a segment is a quarter octave long
NUM_SEGMENTS = 2 * (4 * _QUARTER_OCTAVES + _FINE_OCTAVES - _QUARTER_OCTAVES + _COARSE_OCTAVES // 4)
_BLOCK = 512
"""Tokens summed in any order; the sums of blocks are added one by one."""

LOW, HIGH, TARGET, OUTSIDE = 0, 1, 2, 3
"""Rows of `Cells.values`."""


class Cells(NamedTuple):
    """Consecutive cells of the order at one level of detail; boundary k is in front of cell k.

    Attributes:
        start: tokens in front of each boundary, shape (c + 1,).
        values: shape (4, c + 1). `LOW` and `HIGH`: smallest and largest p/q of each cell, or
            bounds on these; `TARGET`: p of the tokens in front of each boundary; `OUTSIDE`: q of
            the tokens behind it. There may be more columns than boundaries.
    """

    start: IntArray
    values: FloatArray


class RatioPartition(NamedTuple):
    """All tokens that can be drafted, by ratio.

    Attributes:
        target: p in the order of the buckets, shape (m,).
        rates: q likewise, summing to 1.
        segments: the coarse cells.
        first_bucket: index of each segment's first bucket, and the number of buckets at the end.
        buckets: the fine cells; their sums are valid in opened segments.
        tokens: single tokens; valid in opened buckets.
        opened: which buckets have sums, and which are sorted, shape (2, buckets or more).
    """

    target: FloatArray
    rates: FloatArray
    segments: Cells
    first_bucket: IntArray
    buckets: Cells
    tokens: Cells
    opened: BoolArray


class PartitionScratch(NamedTuple):
    """Arrays of one thread, for rows of up to V tokens.

    Allocating them for every row would cost as much as a search: the system hands out fresh pages
    each time.
    """

    keys: KeyArray
    counts: CountArray
    begins: IntArray
    target: FloatArray
    rates: FloatArray
    segments: Cells
    first_bucket: IntArray
    buckets: Cells
    tokens: Cells
    opened: BoolArray


def partition_scratch(vocab_size: int) -> PartitionScratch:
    """Scratch for one thread.

    Example:
        >>> partition_scratch(10).keys.shape
        (10,)
    """
    return PartitionScratch(
        np.empty(vocab_size, dtype=np.int16),
        np.empty((4, NUM_KEYS + 1), dtype=np.int32),
        np.empty((2, NUM_KEYS + 1), dtype=np.int64),
        np.empty(vocab_size),
        np.empty(vocab_size),
        _empty_cells(NUM_SEGMENTS),
        np.empty(NUM_SEGMENTS + 1, dtype=np.int64),
        _empty_cells(NUM_KEYS),
        _empty_cells(vocab_size),
        np.empty((2, NUM_KEYS), dtype=np.bool_),
    )


@kernel
def mass(values: FloatArray) -> float:
    """Sum in blocks: at most 512 plus the number of blocks roundings deep.

    Example:
        >>> mass(np.full(1000, 0.001)).__round__(12)
        1.0
    """
    total = 0.0
    for start in range(0, len(values), _BLOCK):
        total += block_sum(values[start : start + _BLOCK])
    return total


@kernel
def ratio_partition(
    target: FloatArray, draft: FloatArray, scale: float, scratch: PartitionScratch
) -> RatioPartition:
    """Partition one row.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).
        scale: 1 / q of all tokens: the rates are q * scale.
        scratch: scratch; the result refers to it.

    Example:
        >>> p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.2, 0.3, 0.5, 0.0])
        >>> order = ratio_partition(p, q, 1.0, partition_scratch(4))
        >>> order.target.tolist(), order.segments.values[OUTSIDE, :4].round(3).tolist()
        ([0.2, 0.3, 0.5], [1.0, 0.5, 0.2, 0.0])
    """
    _ratio_keys(target, draft, scale, scratch.keys)
    start, place = scratch.begins[0], scratch.begins[1]
    _key_starts(scratch.keys, scratch.counts, start)
    copy(start, place)
    size = start[NUM_KEYS]
    ordered_target, ordered_rates = scratch.target[:size], scratch.rates[:size]
    _distribute(target, draft, scale, scratch.keys, place, ordered_target, ordered_rates)
    count, num_segments = _cells(
        start, place, scratch.buckets, scratch.segments, scratch.first_bucket
    )
    segments = Cells(scratch.segments.start[: num_segments + 1], scratch.segments.values)
    _segment_sums(ordered_target, ordered_rates, segments)
    scratch.opened[:, :count] = False
    return RatioPartition(
        ordered_target,
        ordered_rates,
        segments,
        scratch.first_bucket[: num_segments + 1],
        Cells(scratch.buckets.start[: count + 1], scratch.buckets.values),
        scratch.tokens,
        scratch.opened,
    )


@kernel
def _ratio_keys(target: FloatArray, draft: FloatArray, scale: float, keys: KeyArray) -> None:
    ratio = np.empty(_BLOCK)
    for start in range(0, len(target), _BLOCK):
        p, q = target[start : start + _BLOCK], draft[start : start + _BLOCK]
        _block_keys(p, q, scale, ratio[: len(p)], keys[start : start + _BLOCK])


@kernel
def _block_keys(
    target: FloatArray, draft: FloatArray, scale: float, ratio: FloatArray, keys: KeyArray
) -> None:
    for i in range(len(target)):
        ratio[i] = target[i] / (draft[i] * scale)
    bits = ratio.view(np.int64)
    for i in range(len(bits)):
        # The leading bits of a positive float64 order like the number itself.
        coarse, fine = bits[i] >> np.int64(_COARSE_SHIFT), bits[i] >> np.int64(_FINE_SHIFT)
        low = max(np.int64(0), min(coarse - np.int64(_LOW_BASE), np.int64(_COARSE_KEYS)))
        middle = max(np.int64(0), min(fine - np.int64(_FINE_BASE), np.int64(_FINE_KEYS)))
        high = max(np.int64(0), min(coarse - np.int64(_HIGH_BASE), np.int64(_COARSE_KEYS - 1)))
        keys[i] = np.int16(low + middle + high)
    for i in range(len(keys)):
        keys[i] = keys[i] if draft[i] > 0.0 else np.int16(NUM_KEYS)


@kernel
def _key_starts(keys: KeyArray, counts: CountArray, start: IntArray) -> None:
    """Where each key begins in the order; those that cannot be drafted come last."""
    # Four histograms: one alone would wait for itself on equal keys in a row.
    counts[:] = 0
    whole = len(keys) // 4 * 4
    for i in range(0, whole, 4):
        counts[0, keys[i]] += 1
        counts[1, keys[i + 1]] += 1
        counts[2, keys[i + 2]] += 1
        counts[3, keys[i + 3]] += 1
    for i in range(whole, len(keys)):
        counts[0, keys[i]] += 1
    total = 0
    for key in range(NUM_KEYS + 1):
        start[key] = total
        total += counts[0, key] + counts[1, key] + counts[2, key] + counts[3, key]


@kernel
def _distribute(
    target: FloatArray,
    draft: FloatArray,
    scale: float,
    keys: KeyArray,
    place: IntArray,
    ordered_target: FloatArray,
    ordered_rates: FloatArray,
) -> None:
    size = len(ordered_target)
    for i in range(len(keys)):
        key = keys[i]
        j = place[key]
        place[key] = j + 1
        if j < size:
            ordered_target[j] = target[i]
            ordered_rates[j] = draft[i] * scale


@kernel
def _segment_of_key(key: int) -> int:
    """Four octaves far from 1, then one, then a quarter octave."""
    if key >= NUM_KEYS // 2:
        return NUM_SEGMENTS - 1 - _segment_of_lower_key(NUM_KEYS - 1 - key)
    return _segment_of_lower_key(key)


@kernel
def _segment_of_lower_key(key: int) -> int:
    if key < _COARSE_KEYS:
        return key >> (_COARSE_LOG2 + 2)
    fine = key - _COARSE_KEYS
    octaves = _FINE_OCTAVES - _QUARTER_OCTAVES
    if fine < octaves << _FINE_LOG2:
        return _COARSE_OCTAVES // 4 + (fine >> _FINE_LOG2)
    quarters = (fine - (octaves << _FINE_LOG2)) >> (_FINE_LOG2 - 2)
    return _COARSE_OCTAVES // 4 + octaves + quarters


@kernel
def _key_edge(key: int) -> float:
    """Smallest ratio with this key."""
    if key <= 0:
        return 0.0
    if key >= NUM_KEYS:
        return np.inf
    if key < _COARSE_KEYS:
        return float_of_bits((key + _LOW_BASE) << _COARSE_SHIFT)
    if key < _COARSE_KEYS + _FINE_KEYS:
        return float_of_bits((key - _COARSE_KEYS + _FINE_BASE) << _FINE_SHIFT)
    return float_of_bits((key - _COARSE_KEYS - _FINE_KEYS + _HIGH_BASE) << _COARSE_SHIFT)


def _empty_cells(count: int) -> Cells:
    return Cells(np.empty(count + 1, dtype=np.int64), np.empty((4, count + 1)))


@kernel
def _cells(
    start: IntArray, keys: IntArray, buckets: Cells, segments: Cells, first_bucket: IntArray
) -> tuple[int, int]:
    """Fill in the buckets and segments that hold tokens, but for their sums; how many of each."""
    count = 0
    for key in range(NUM_KEYS):
        keys[count] = key
        count += 1 if start[key + 1] > start[key] else 0
    s, last = -1, -1
    for b in range(count):
        key = keys[b]
        low, high = _key_edge(key), _key_edge(key + 1)
        buckets.start[b] = start[key]
        buckets.values[LOW, b] = low
        buckets.values[HIGH, b] = high
        segment = _segment_of_key(key)
        if segment != last:
            last = segment
            s += 1
            segments.start[s] = start[key]
            segments.values[LOW, s] = low
            first_bucket[s] = b
        segments.values[HIGH, s] = high
    buckets.start[count] = segments.start[s + 1] = start[NUM_KEYS]
    first_bucket[s + 1] = count
    return count, s + 1


@kernel
def _segment_sums(target: FloatArray, rates: FloatArray, segments: Cells) -> None:
    count = len(segments.start) - 1
    start, values = segments.start, segments.values
    values[TARGET, 0] = 0.0
    values[OUTSIDE, count] = 0.0
    for s in range(count):
        inside = mass(target[start[s] : start[s + 1]])
        values[TARGET, s + 1] = values[TARGET, s] + inside
    for s in range(count - 1, -1, -1):
        # From the far end, so that a small mass outside keeps its relative precision.
        values[OUTSIDE, s] = values[OUTSIDE, s + 1] + mass(rates[start[s] : start[s + 1]])


@kernel
def open_segment(order: RatioPartition, segment: int) -> None:
    """Sum up the buckets of a segment."""
    start, values = order.buckets.start, order.buckets.values
    first, last = order.first_bucket[segment], order.first_bucket[segment + 1]
    order.opened[0, first:last] = True
    total = order.segments.values[TARGET, segment]
    for b in range(first, last):
        values[TARGET, b] = total
        total += mass(order.target[start[b] : start[b + 1]])
    total = order.segments.values[OUTSIDE, segment + 1]
    for b in range(last - 1, first - 1, -1):
        total += mass(order.rates[start[b] : start[b + 1]])
        values[OUTSIDE, b] = total


@kernel
def open_bucket(order: RatioPartition, segment: int, bucket: int) -> None:
    """Sort the tokens of a bucket of an opened segment."""
    order.opened[1, bucket] = True
    start, stop = order.buckets.start[bucket], order.buckets.start[bucket + 1]
    values = order.tokens.values
    target, rates = order.target[start:stop], order.rates[start:stop]
    ratio = values[LOW, start:stop]
    for i in range(len(ratio)):
        ratio[i] = target[i] / rates[i]
    sort_by_ratio(ratio, target, rates)
    for i in range(start, stop):
        values[HIGH, i] = values[LOW, i]
    total = order.buckets.values[TARGET, bucket]
    for i in range(start, stop):
        order.tokens.start[i] = i
        values[TARGET, i] = total
        total += order.target[i]
    behind = order.buckets.values[OUTSIDE, bucket + 1]
    if bucket + 1 == order.first_bucket[segment + 1]:
        behind = order.segments.values[OUTSIDE, segment + 1]
    for i in range(stop - 1, start - 1, -1):
        behind += order.rates[i]
        values[OUTSIDE, i] = behind
    order.buckets.values[LOW, bucket] = ratio[0]
    order.buckets.values[HIGH, bucket] = ratio[-1]


@kernel
def sort_by_ratio(ratio: FloatArray, target: FloatArray, rates: FloatArray) -> None:
    """Sort three arrays by the first, in place: Shell's method, on a bucket at a time.

    Numpy's argsort takes 0.94 of its time at 50 tokens, 0.67 at 1,000 and 0.63 at 150,000, but
    needs a copy of each array, and seconds to compile.

    Example:
        >>> ratio, p, q = np.array([2.0, 0.5]), np.array([0.8, 0.2]), np.array([0.4, 0.4])
        >>> sort_by_ratio(ratio, p, q)
        >>> ratio.tolist(), p.tolist()
        ([0.5, 2.0], [0.2, 0.8])
    """
    size = len(ratio)
    if least(ratio) == most(ratio):
        return
    gap = 1
    while gap < size:
        gap = 9 * gap // 4 + 1  # Ciura's gaps rise as fast
    while gap > 1:
        gap = max(4 * (gap - 1) // 9, 1)
        for i in range(gap, size):
            key, p, q = ratio[i], target[i], rates[i]
            j = i
            while j >= gap and ratio[j - gap] > key:
                ratio[j], target[j], rates[j] = ratio[j - gap], target[j - gap], rates[j - gap]
                j -= gap
            ratio[j], target[j], rates[j] = key, p, q
