"""Which nodes a row needs, and what its tokens add to the law of the clocks that have rung.

A token is *heavy* if its rate times the last node's time exceeds `ClockQuadrature.light_limit`,
otherwise *light*. Heavy tokens enter P(N_t = m) one by one, at all nodes at once: a recursion of
positive terms. Light ones enter through their power sums; see `mdbound.bounds.fluid_arrivals`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mdbound.bounds.clock_quadrature import NUM_POWERS, ClockQuadrature
from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.vector_exp import vector_exp

_BLOCK = 512  # tokens per pass: their rates stay in the first cache
NODES = 16
"""Node counts are multiples of this."""

_VANISHED = 45.0  # e^-45 = 3e-20


class RingNodes(NamedTuple):
    """The nodes one row needs, and what depends on its last node.

    Attributes:
        times: shape (J,).
        weights: shape (J,).
        scaled: times * light_rate.
        light_rate: largest rate of a light token.
        faint_rate: largest rate that needs `FAINT_POWERS` power sums only.
    """

    times: FloatArray
    weights: FloatArray
    scaled: FloatArray
    light_rate: float
    faint_rate: float


@njit(cache=True, nogil=True)
def ring_nodes(rule: ClockQuadrature, rates: FloatArray) -> RingNodes:
    """Cut the nodes where all that remains is negligible, whatever the prefix.

    P(no clock outside H rang, fewer than N in H) is at most P(fewer than N rang at all), and at
    most e^(-W t), W being at least the smallest rate unless H is everything.

    Example:
        >>> from mdbound.bounds.clock_quadrature import clock_quadrature
        >>> len(ring_nodes(clock_quadrature(8), np.full(1000, 1e-3)).times)
        48
    """
    smallest = _smallest(rates)
    count = 3 * NODES
    while count + NODES <= len(rule.times):
        last = rule.times[count - 1]
        if last * smallest >= _VANISHED or expected_rung(rates, last) >= rule.rung_needed:
            break
        count += NODES
    last = rule.times[count - 1]
    return RingNodes(
        rule.times[:count],
        rule.weights[:count],
        rule.times[:count] * (rule.light_limit / last),
        rule.light_limit / last,
        rule.faint_limit / last,
    )


@njit(cache=True, nogil=True, fastmath={"nnan", "reassoc"})
def _smallest(rates: FloatArray) -> float:
    smallest = np.inf
    for i in range(len(rates)):
        smallest = min(smallest, rates[i])
    return smallest


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _capped_sum(rates: FloatArray, time: float) -> float:
    total = 0.0
    for i in range(len(rates)):
        x = rates[i] * time
        total += x if x < 1.0 else 1.0
    return total


@njit(cache=True, nogil=True)
def add_tokens(
    nodes: RingNodes, rates: FloatArray, sums: FloatArray, heavy: FloatArray, found: int
) -> int:
    """Add tokens to the power sums of the light ones and to the list of the heavy ones.

    Args:
        nodes: the row's nodes.
        rates: of the tokens to add.
        sums: power sums of rate / light_rate, shape (NUM_POWERS + 1,), updated.
        heavy: rates of heavy tokens, updated.
        found: heavy tokens in the list so far.

    Returns:
        Heavy tokens in the list now.

    Example:
        >>> from mdbound.bounds.clock_quadrature import clock_quadrature
        >>> nodes = ring_nodes(clock_quadrature(2), np.full(100, 0.01))
        >>> sums, heavy = np.zeros(NUM_POWERS + 1), np.empty(1)
        >>> add_tokens(nodes, np.array([0.5, 1e-9]), sums, heavy, 0), heavy.tolist()
        (1, [0.5])
    """
    inverse = 1.0 / nodes.light_rate
    for start in range(0, len(rates), _BLOCK):
        block = rates[start : start + _BLOCK]
        if faint_sums(block, inverse, nodes.faint_rate, sums) == 0:
            continue
        for i in range(len(block)):
            if block[i] > nodes.light_rate:
                heavy[found] = block[i]
                found += 1
            elif block[i] > nodes.faint_rate:
                add_powers(block[i] * inverse, sums)
    return found


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def faint_sums(rates: FloatArray, inverse: float, limit: float, sums: FloatArray) -> int:
    """Add twelve power sums of the rates up to `limit`; return how many rates lie above it.

    Example:
        >>> sums = np.zeros(NUM_POWERS + 1)
        >>> faint_sums(np.array([0.5, 2.0]), 1.0, 1.0, sums), sums[1:4].tolist()
        (1, [0.5, 0.25, 0.125])
    """
    above = 0
    s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = s12 = 0.0
    for i in range(len(rates)):
        faint = rates[i] <= limit
        x = rates[i] * inverse if faint else 0.0
        above += 0 if faint else 1
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
    return above


@njit(cache=True, nogil=True)
def add_powers(x: float, sums: FloatArray) -> None:
    """Add x, x^2, ... to the power sums.

    Example:
        >>> sums = np.zeros(NUM_POWERS + 1)
        >>> add_powers(0.5, sums)
        >>> sums[1:4].tolist()
        [0.5, 0.25, 0.125]
    """
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


@njit(cache=True, nogil=True, fastmath={"contract"})
def silent_at_nodes(times: FloatArray, rate: float, silent: FloatArray) -> None:
    """Write e^(-rate t), the chance that a clock has not rung.

    Example:
        >>> silent = np.empty(1)
        >>> silent_at_nodes(np.array([2.0]), 0.5, silent)
        >>> silent.round(6).tolist()
        [0.367879]
    """
    for j in range(len(times)):
        silent[j] = vector_exp(-rate * times[j])


@njit(cache=True, nogil=True, fastmath={"contract"})
def add_heavy(silent: FloatArray, law: FloatArray) -> None:
    """Add one clock to P(N_t = m), m < N.

    Example:
        >>> law = np.array([[1.0], [0.0]])
        >>> add_heavy(np.array([0.25]), law)
        >>> law.tolist()
        [[0.25], [0.75]]
    """
    max_drafts, count = law.shape
    for m in range(max_drafts - 1, 0, -1):
        for j in range(count):
            law[m, j] = law[m, j] * silent[j] + law[m - 1, j] * (1.0 - silent[j])
    for j in range(count):
        law[0, j] *= silent[j]
