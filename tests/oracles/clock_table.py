"""Oracle: F_n of prefixes by the trapezoid rule in ln t, for `tests.oracles.sorted_prefix_search`.

The rule is that of `numerics.exponential_clocks`. P(N_t < n) is a positive recursion over the
clocks that are likely to have rung; the others enter through power sums of their rates, kept by
powers of two of the rate so that q may span any number of decades.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.numerics.exponential_clocks import FIRST_TIME, NEGLIGIBLE
from mdbound.bounds.numerics.summation import suffix_sums
from mdbound.bounds.problem.array_types import FloatArray

IntArray = npt.NDArray[np.int64]

NUM_MOMENTS = 20
"""Power sums kept per bin: enough that dropped terms are below an ulp for rate * t <= 1/8."""

LIGHT_LIMIT = 0.125
"""A clock with rate * t at most this enters through power sums, otherwise one by one."""

TABLE_ENTRIES = 1 << 20
"""Largest number of stored power sums: the prefix blocks grow instead of the memory."""


class ClockTable(NamedTuple):
    """Clocks in a fixed order, with what `containment_step` needs about every prefix.

    Attributes:
        rates: q in that order, summing to 1, all positive, shape (m,).
        outside: mass outside each prefix, summed from the far end, shape (m + 1,).
        bin_of: bin of each clock; bin b holds rates in [scale/2, scale).
        scale: upper edge of each occupied bin, descending.
        bin_start: where a bin begins in `grouped`.
        grouped: rates by bin, inside a bin in prefix order.
        block_length: every this many clocks the two tables below have an entry.
        block_counts: clocks per bin in the prefix that ends at the block, shape (blocks, bins).
        block_moments: sum of (rate / scale)^r, r = 0.., shape (blocks, bins, NUM_MOMENTS + 1).
    """

    rates: FloatArray
    outside: FloatArray
    bin_of: IntArray
    scale: FloatArray
    bin_start: IntArray
    grouped: FloatArray
    block_length: int
    block_counts: IntArray
    block_moments: FloatArray


@lru_cache(maxsize=8)
def expm1_power_series() -> FloatArray:
    """Coefficients c[j, r] of (e^x - 1)^j = sum over r of c[j, r] x^r, up to NUM_MOMENTS.

    Example:
        >>> expm1_power_series()[1, :4].round(4).tolist()
        [0.0, 1.0, 0.5, 0.1667]
    """
    series = np.zeros((NUM_MOMENTS + 1, NUM_MOMENTS + 1))
    series[0, 0] = 1.0
    for j in range(1, NUM_MOMENTS + 1):
        for r in range(j, NUM_MOMENTS + 1):
            # Stirling numbers of the second kind, S(r, j) = j S(r-1, j) + S(r-1, j-1),
            # in the scaling c[j, r] = j! S(r, j) / r!.
            series[j, r] = j * (series[j, r - 1] + series[j - 1, r - 1]) / r
    return series


@njit(cache=True, nogil=True)
def clock_table(rates: FloatArray) -> ClockTable:
    """Tabulate positive rates that sum to 1, in the order whose prefixes will be asked for.

    Example:
        >>> clock_table(np.array([0.75, 0.25])).scale.tolist()
        [1.0, 0.5]
    """
    size = len(rates)
    exponent = np.empty(size, dtype=np.int64)
    for i in range(size):
        exponent[i] = math.frexp(rates[i])[1]
    highest = exponent.max()
    bin_at = np.full(highest - exponent.min() + 1, -1, dtype=np.int64)
    for i in range(size):
        bin_at[highest - exponent[i]] = 0
    num_bins = 0
    for i in range(len(bin_at)):
        if bin_at[i] == 0:
            bin_at[i] = num_bins
            num_bins += 1
    bin_of = np.empty(size, dtype=np.int64)
    scale = np.empty(num_bins)
    bin_start = np.zeros(num_bins + 1, dtype=np.int64)
    for i in range(size):
        bin_of[i] = bin_at[highest - exponent[i]]
        scale[bin_of[i]] = math.ldexp(1.0, exponent[i])
        bin_start[bin_of[i] + 1] += 1
    bin_start = np.cumsum(bin_start)

    blocks = max(1, min(size // 256, TABLE_ENTRIES // (num_bins * (NUM_MOMENTS + 1))))
    block_length = (size + blocks - 1) // blocks
    block_counts = np.zeros((blocks + 1, num_bins), dtype=np.int64)
    block_moments = np.zeros((blocks + 1, num_bins, NUM_MOMENTS + 1))
    counts = np.zeros(num_bins, dtype=np.int64)
    moments = np.zeros((num_bins, NUM_MOMENTS + 1))
    grouped = np.empty(size)
    for i in range(size):
        if i % block_length == 0:
            block_counts[i // block_length] = counts
            block_moments[i // block_length] = moments
        b = bin_of[i]
        grouped[bin_start[b] + counts[b]] = rates[i]
        counts[b] += 1
        _add_moments(moments[b], rates[i] / scale[b])
    return ClockTable(
        rates,
        suffix_sums(rates),
        bin_of,
        scale,
        bin_start,
        grouped,
        block_length,
        block_counts,
        block_moments,
    )


@njit(cache=True, nogil=True)
def _add_moments(moments: FloatArray, value: float) -> None:
    power = 1.0
    for r in range(NUM_MOMENTS + 1):
        moments[r] += power
        power *= value


@njit(cache=True, nogil=True)
def containment_step(
    table: ClockTable,
    size: int,
    max_drafts: int,
    step: float,
    series: FloatArray,
    before: FloatArray,
    after: FloatArray,
    slope: FloatArray,
) -> None:
    """F_n of the prefix of `size` clocks and of the one longer by a clock, and their slope.

    The slope (F(after) - F(before)) / rate is integrated as one difference, so that it keeps its
    precision for a clock of any rate. Entries n = 3..max_drafts are filled.

    Args:
        table: the clocks.
        size: prefix length before the step, 0 <= size < m.
        max_drafts: N, at least 3.
        step: trapezoid step in ln t.
        series: `expm1_power_series()`.
        before: filled with F_n(prefix of size), shape (N + 1,), indexed by n.
        after: filled with F_n(prefix of size + 1).
        slope: filled with the slope.
    """
    counts, moments = _prefix_moments(table, size)
    rate = table.rates[size]
    outside = table.outside[size]
    outside_after = table.outside[size + 1]
    decay = outside_after if outside_after > 0.0 else outside
    before[:] = 0.0
    after[:] = 0.0
    slope[:] = 0.0
    law = np.zeros(max_drafts)  # P(N_t = m), m < N
    node = math.floor(math.log(FIRST_TIME) / step)
    first_time = math.exp(node * step)
    while True:
        t = math.exp(node * step)
        alive = math.exp(-decay * t)
        if alive < NEGLIGIBLE:
            break
        rung_below = _ring_law(table, counts, moments, t, series, law)
        if rung_below * alive < NEGLIGIBLE:
            break
        silent = math.exp(-outside * t)
        rings = -math.expm1(-rate * t)
        longer = outside_after * math.exp(-outside_after * t)
        weight_before = outside * t * silent
        weight_after = longer * t
        weight_slope = t * silent
        weight_less = longer * t * (rings / rate)
        below = law[0] + law[1]  # P(N_t < 2)
        for n in range(3, max_drafts + 1):
            less = below
            below += law[n - 1]
            before[n] += weight_before * below
            after[n] += weight_after * (below - rings * law[n - 1])
            slope[n] += weight_slope * below - weight_less * less
        node += 1
    tail_before, tail_slope = _small_times(outside, outside_after, first_time, step)
    tail_after, _ = _small_times(outside_after, outside_after, first_time, step)
    for n in range(3, max_drafts + 1):
        enough = size >= n
        before[n] = 1.0 - (step * before[n] + tail_before) if enough else 0.0
        slope[n] = step * slope[n] + tail_slope
        after[n] = 1.0 - (step * after[n] + tail_after)
        if outside_after == 0.0:
            after[n] = 1.0
        elif size + 1 < n:
            after[n] = 0.0
        if size + 1 < n and outside_after > 0.0:
            slope[n] = 0.0


@njit(cache=True, nogil=True)
def _small_times(
    outside: float, outside_after: float, first_time: float, step: float
) -> tuple[float, float]:
    """What the trapezoid sum has below the first node, where P(N_t < n) is 1."""
    sums = np.empty(4)
    for r in range(1, 4):
        shrink = math.exp(-r * step)
        sums[r] = first_time**r * shrink / (1.0 - shrink)
    w, v = outside, outside_after
    integral = w * sums[1] - w * w * sums[2] + 0.5 * w**3 * sums[3]
    slope = sums[1] - (w + v) * sums[2] + 0.5 * (w * w + w * v + v * v) * sums[3]
    return step * integral, step * slope


@njit(cache=True, nogil=True)
def _prefix_moments(table: ClockTable, size: int) -> tuple[IntArray, FloatArray]:
    block = size // table.block_length
    counts = table.block_counts[block].copy()
    moments = table.block_moments[block].copy()
    for i in range(block * table.block_length, size):
        b = table.bin_of[i]
        counts[b] += 1
        _add_moments(moments[b], table.rates[i] / table.scale[b])
    return counts, moments


@njit(cache=True, nogil=True)
def _ring_law(
    table: ClockTable,
    counts: IntArray,
    moments: FloatArray,
    t: float,
    series: FloatArray,
    law: FloatArray,
) -> float:
    """Fill law[m] = P(N_t = m) for m < N; return P(N_t < N), or 0 when it is below 1e-19."""
    num_bins = len(counts)
    max_drafts = len(law)
    light = num_bins
    expected = 0.0
    for b in range(num_bins):
        if table.scale[b] * t > LIGHT_LIMIT:
            expected -= counts[b] * math.expm1(-0.5 * table.scale[b] * t)
        else:
            light = b
            break
    power_sums = _light_power_sums(table.scale[light:] * t, counts[light:], moments[light:])
    expected += 0.9 * power_sums[1]
    # Chernoff: P(N < n) <= e^-mu (e mu / n)^n for mu > n.
    if expected > max_drafts:
        exponent = max_drafts * (1.0 + math.log(expected / max_drafts)) - expected
        if exponent < -43.8:
            return 0.0
    _light_law(power_sums, series, law)
    for b in range(light):
        start = table.bin_start[b]
        for i in range(start, start + counts[b]):
            rung = -math.expm1(-table.grouped[i] * t)
            silent = 1.0 - rung
            for m in range(max_drafts - 1, 0, -1):
                law[m] = law[m] * silent + law[m - 1] * rung
            law[0] *= silent
    below = 0.0
    for m in range(max_drafts):
        below += law[m]
    return below


@njit(cache=True, nogil=True)
def _light_power_sums(scale: FloatArray, counts: IntArray, moments: FloatArray) -> FloatArray:
    """Sum of (rate * t)^r over the light clocks, r = 1..NUM_MOMENTS; `scale` is in units of 1/t."""
    power_sums = np.zeros(NUM_MOMENTS + 1)
    for b in range(len(scale)):
        power = 1.0
        for r in range(1, NUM_MOMENTS + 1):
            power *= scale[b]
            if power * counts[b] < 1e-20:
                break
            power_sums[r] += power * moments[b, r]
    return power_sums


@njit(cache=True, nogil=True)
def _light_law(power_sums: FloatArray, series: FloatArray, law: FloatArray) -> None:
    """Law of the number of light clocks that rang, from the power sums of rate * t.

    Each factor is e^(-x) (1 + (e^x - 1) z): Newton's identities turn the power sums of e^x - 1
    into its elementary symmetric polynomials.
    """
    max_drafts = len(law)
    terms = min(max_drafts, NUM_MOMENTS + 1)
    newton = np.zeros(terms)
    for j in range(1, terms):
        for r in range(NUM_MOMENTS, j - 1, -1):
            newton[j] += series[j, r] * power_sums[r]
    law[0] = math.exp(-power_sums[1])
    for m in range(1, max_drafts):
        total = 0.0
        sign = 1.0
        for j in range(1, min(m, terms - 1) + 1):
            total += sign * newton[j] * law[m - j]
            sign = -sign
        law[m] = max(total / m, 0.0)
