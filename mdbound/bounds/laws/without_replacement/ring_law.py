"""Which nodes a row needs, and what its tokens add to the law of the clocks that have rung.

A token is *heavy* if its rate times the last node's time exceeds `ClockQuadrature.light_limit`,
otherwise *light*. Heavy tokens enter P(N_t = m) one by one, at all nodes at once: a recursion of
positive terms. Light ones enter through their power sums; see `fluid_arrivals`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.numerics.clock_quadrature import KERNEL_DRAFTS, NUM_POWERS, ClockQuadrature
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.vector_exp import float_of_bits, vector_exp
from mdbound.bounds.problem.array_types import FloatArray, IntArray

_AT_ONCE = 16  # tokens whose powers are added together
_BLOCK = 512  # tokens per pass: their rates stay in the first cache
NODES = 8
"""Node counts are multiples of this."""

TIMES, WEIGHTS, SCALED = 0, 1, 2
"""Rows of `RingNodes.grid`."""

_VANISHED = 45.0  # e^-45 = 3e-20


class RingNodes(NamedTuple):
    """The nodes one row needs, and what depends on its last node.

    Attributes:
        grid: shape (3, J). `TIMES`, `WEIGHTS`, and `SCALED`: times * light_rate.
        series: as in `ClockQuadrature`.
        light_rate: largest rate of a light token.
        faint_rate: largest rate that needs `FAINT_POWERS` power sums only.
        early: as in `ClockQuadrature`.
        early_time: likewise.
    """

    grid: FloatArray
    series: FloatArray
    light_rate: float
    faint_rate: float
    early: float
    early_time: float


@kernel
def ring_nodes(rule: ClockQuadrature, rates: FloatArray) -> RingNodes:
    """Cut the nodes where all that remains is negligible, whatever the prefix.

    P(no clock outside H rang, fewer than N in H) is at most P(fewer than N rang at all), and at
    most e^(-W t), W being at least the smallest rate unless H is everything.

    Example:
        >>> from mdbound.bounds.numerics.clock_quadrature import clock_quadrature
        >>> ring_nodes(clock_quadrature(8), np.full(1000, 1e-3)).grid.shape
        (3, 48)
    """
    smallest = smallest_positive(rates)
    count = 48
    while count + NODES <= len(rule.times):
        last = rule.times[count - 1]
        if last * smallest >= _VANISHED or expected_rung(rates, last) >= rule.rung_needed:
            break
        count += NODES
    light_rate = rule.light_limit / rule.times[count - 1]
    grid = np.empty((3, count))
    for j in range(count):
        grid[TIMES, j], grid[WEIGHTS, j] = rule.times[j], rule.weights[j]
        grid[SCALED, j] = rule.times[j] * light_rate
    return RingNodes(
        grid,
        rule.series,
        light_rate,
        rule.faint_limit / rule.times[count - 1],
        rule.early,
        rule.early_time,
    )


@kernel
def smallest_positive(values: FloatArray) -> float:
    """Smallest of the values that are not 0; none is negative.

    Example:
        >>> smallest_positive(np.array([0.5, 0.0, 0.25]))
        0.25
    """
    # Floats from 0 on order like their bits. Less one as unsigned numbers, 0 comes last.
    bits = values.view(np.uint64)
    smallest = np.uint64(0xFFFFFFFFFFFFFFFF)
    for i in range(len(bits)):
        smallest = min(smallest, bits[i] - np.uint64(1))
    return float_of_bits(int(np.int64(smallest + np.uint64(1))))


@kernel
def expected_rung(rates: FloatArray, time: float) -> float:
    """Lower bound on the expected number of clocks that rang: 1 - e^-x >= (1 - 1/e) min(x, 1).

    Example:
        >>> round(expected_rung(np.array([1.0, 1.0]), 5.0), 3)
        1.264
    """
    total = 0.0
    for start in range(0, len(rates), 4096):
        total += _capped_sum(rates[start : start + 4096], time)
    return 0.6321205588 * total


@kernel(fastmath={"reassoc", "contract"})
def _capped_sum(rates: FloatArray, time: float) -> float:
    total = 0.0
    for i in range(len(rates)):
        x = rates[i] * time
        total += x if x < 1.0 else 1.0
    return total


@kernel
def large_tokens(rates: FloatArray, limit: float, places: IntArray) -> int:
    """Write the places of rates above the limit, in ascending order; return how many there are.

    Args:
        rates: shape (m,).
        limit: `RingNodes.faint_rate`.
        places: written, shape (m + 1,) or more.

    Example:
        >>> places = np.empty(4, dtype=np.int64)
        >>> large_tokens(np.array([0.5, 0.1, 0.4]), 0.3, places), places[:2].tolist()
        (2, [0, 2])
    """
    count = 0
    for i in range(len(rates)):
        places[count] = i
        count += 1 if rates[i] > limit else 0
    return count


@kernel
def add_tokens(
    nodes: RingNodes,
    rates: FloatArray,
    large: IntArray,
    start: int,
    stop: int,
    sums: FloatArray,
    heavy: FloatArray,
    found: int,
) -> int:
    """Add rates[start:stop] to the power sums of the light ones and to the list of the heavy ones.

    Args:
        nodes: the row's nodes.
        rates: of all tokens.
        large: `large_tokens` of these.
        start: first token to add.
        stop: one behind the last.
        sums: power sums of rate / light_rate, shape (NUM_POWERS + 1,), updated.
        heavy: rates of heavy tokens, updated.
        found: heavy tokens in the list so far.

    Returns:
        Heavy tokens in the list now.

    Example:
        >>> from mdbound.bounds.numerics.clock_quadrature import clock_quadrature
        >>> nodes = ring_nodes(clock_quadrature(2), np.full(100, 0.01))
        >>> sums, heavy = np.zeros(NUM_POWERS + 1), np.empty(1)
        >>> add_tokens(nodes, np.array([0.5, 1e-9]), np.array([0]), 0, 2, sums, heavy, 0)
        1
    """
    inverse = 1.0 / nodes.light_rate
    for begin in range(start, stop, _BLOCK):
        faint_sums(rates[begin : min(begin + _BLOCK, stop)], inverse, nodes.faint_rate, sums)
    values = np.empty(_AT_ONCE)
    count = 0
    for k in range(first_from(large, start), first_from(large, stop)):
        rate = rates[large[k]]
        if rate > nodes.light_rate:
            heavy[found] = rate
            found += 1
            continue
        values[count] = rate * inverse
        count += 1
        if count == _AT_ONCE:
            _add_powers(values, sums)
            count = 0
    for k in range(count):
        _add_powers_of(values[k], sums)
    return found


@kernel
def renew_large(rates: FloatArray, limit: float, start: int, stop: int, large: IntArray) -> None:
    """Correct the places of `large_tokens` after the tokens from start to stop changed places.

    Example:
        >>> large = np.array([0, 3])
        >>> renew_large(np.array([0.1, 0.5, 0.1, 0.4]), 0.3, 0, 2, large)
        >>> large.tolist()
        [1, 3]
    """
    k = first_from(large, start)
    for i in range(start, stop):
        if rates[i] > limit:
            large[k] = i
            k += 1


@kernel
def first_from(ascending: IntArray, value: int) -> int:
    """First index whose entry is at least the value, or the length.

    Example:
        >>> first_from(np.array([1, 3, 5]), 3)
        1
    """
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(fastmath={"reassoc", "contract"})
def faint_sums(rates: FloatArray, inverse: float, limit: float, sums: FloatArray) -> None:
    """Add twelve power sums of the rates up to `limit`.

    Example:
        >>> sums = np.zeros(NUM_POWERS + 1)
        >>> faint_sums(np.array([0.5, 2.0]), 1.0, 1.0, sums)
        >>> sums[1:4].tolist()
        [0.5, 0.25, 0.125]
    """
    s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = s12 = 0.0
    for i in range(len(rates)):
        x = rates[i] * inverse if rates[i] <= limit else 0.0
        x2 = x * x
        x3 = x2 * x
        x4 = x2 * x2
        x8 = x4 * x4
        s1 += x
        s2 += x2
        s3 += x3
        s4 += x4
        s5 += x4 * x
        s6 += x4 * x2
        s7 += x4 * x3
        s8 += x8
        s9 += x8 * x
        s10 += x8 * x2
        s11 += x8 * x3
        s12 += x8 * x4
    found = (s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12)
    for r in range(12):
        sums[r + 1] += found[r]


@kernel(fastmath={"reassoc", "contract"})
def _add_powers(values: FloatArray, sums: FloatArray) -> None:
    """Add the power sums of `_AT_ONCE` values."""
    power = np.ones(_AT_ONCE)
    for r in range(1, NUM_POWERS + 1):
        total = 0.0
        for i in range(_AT_ONCE):
            power[i] *= values[i]
            total += power[i]
        sums[r] += total


@kernel
def _add_powers_of(x: float, sums: FloatArray) -> None:
    """Add x, x^2, ... to the power sums."""
    # Four chains: one alone would wait for each product.
    x2 = x * x
    x4 = x2 * x2
    first, second, third, fourth = x, x2, x2 * x, x4
    for r in range(1, NUM_POWERS, 4):
        sums[r] += first
        sums[r + 1] += second
        sums[r + 2] += third
        sums[r + 3] += fourth
        first *= x4
        second *= x4
        third *= x4
        fourth *= x4


@kernel
def add_heavy(grid: FloatArray, rates: FloatArray, law: FloatArray) -> None:
    """Add clocks one by one to P(N_t = m), m < N.

    Args:
        grid: `RingNodes.grid`.
        rates: of the clocks.
        law: P(N_t = m) so far, shape (N, J or more), updated.

    Example:
        >>> grid, law = np.array([[2.0], [1.0], [1.0]]), np.array([[1.0], [0.0]])
        >>> add_heavy(grid, np.array([0.5]), law)
        >>> law.round(6).tolist()
        [[0.367879], [0.632121]]
    """
    silent = np.empty((2, grid.shape[1]))
    first = 0
    if len(law) == KERNEL_DRAFTS:
        for first in range(0, len(rates) - 1, 2):
            _silent(grid, rates[first], silent, 0)
            _silent(grid, rates[first + 1], silent, 1)
            _add_two(silent, grid.shape[1], law)
        first = len(rates) // 2 * 2
    for i in range(first, len(rates)):
        _silent(grid, rates[i], silent, 0)
        for m in range(len(law) - 1, 0, -1):
            for j in range(grid.shape[1]):
                law[m, j] = law[m, j] * silent[0, j] + law[m - 1, j] * (1.0 - silent[0, j])
        for j in range(grid.shape[1]):
            law[0, j] *= silent[0, j]


@kernel(fastmath={"contract"})
def _silent(grid: FloatArray, rate: float, silent: FloatArray, row: int) -> None:
    """Write e^(-rate t), the chance that a clock has not rung."""
    for j in range(grid.shape[1]):
        silent[row, j] = vector_exp(-rate * grid[TIMES, j])


@kernel(fastmath={"contract"})
def _add_two(silent: FloatArray, count: int, law: FloatArray) -> None:
    """Add two clocks, N = 8."""
    for j in range(count):
        first, second = silent[0, j], silent[1, j]
        none = first * second
        one = first * (1.0 - second) + second * (1.0 - first)
        two = (1.0 - first) * (1.0 - second)
        h0, h1, h2, h3 = law[0, j], law[1, j], law[2, j], law[3, j]
        h4, h5, h6, h7 = law[4, j], law[5, j], law[6, j], law[7, j]
        law[0, j] = h0 * none
        law[1, j] = h1 * none + h0 * one
        law[2, j] = h2 * none + h1 * one + h0 * two
        law[3, j] = h3 * none + h2 * one + h1 * two
        law[4, j] = h4 * none + h3 * one + h2 * two
        law[5, j] = h5 * none + h4 * one + h3 * two
        law[6, j] = h6 * none + h5 * one + h4 * two
        law[7, j] = h7 * none + h6 * one + h5 * two
