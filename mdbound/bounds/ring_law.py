"""How many clocks of a token set have rung by each node, and F_n with its slope from that.

A token is *heavy* if its rate times the last node's time exceeds `LIGHT_LIMIT`, otherwise
*light*. Heavy tokens enter P(N_t = m) one by one, at all nodes at once: a recursion of positive
terms. Light ones enter through their power sums: each contributes e^(-x) (1 + (e^x - 1) z) with
x = rate * t, so Newton's identities on the power sums of e^x - 1 give their law.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mdbound.bounds.clock_quadrature import NUM_POWERS, ClockQuadrature
from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.vector_exp import vector_exp

LIGHT_LIMIT = 0.5
"""Largest rate * t of a light token: 30 power sums leave less than 1e-18 of any P(N_t = m)."""

FAINT_LIMIT = 0.5 / 16
"""Up to this rate * t twelve power sums are enough, which whole vectors of tokens share."""

_BLOCK = 512  # tokens per pass: their rates stay in the first cache
_NODES = 16  # node counts are multiples of this
_VANISHED = 40.0  # e^-40 = 4e-18


class RingNodes(NamedTuple):
    """The nodes one row needs, and what depends on its last node.

    Attributes:
        times: shape (J,).
        weights: shape (J,).
        light_rate: largest rate of a light token.
        faint_rate: largest rate that needs twelve power sums only.
        scaled: times * light_rate, at most `LIGHT_LIMIT`.
        powers: scaled ** k for k < N, shape (N, J).
    """

    times: FloatArray
    weights: FloatArray
    light_rate: float
    faint_rate: float
    scaled: FloatArray
    powers: FloatArray


class RingSpace(NamedTuple):
    """Scratch arrays of one thread: four of shape (N, J) and three of shape (J,)."""

    sums: FloatArray
    light: FloatArray
    both: FloatArray
    decay: FloatArray
    below: FloatArray
    less: FloatArray


@njit(cache=True, nogil=True)
def ring_nodes(rule: ClockQuadrature, rates: FloatArray) -> RingNodes:
    """Cut the nodes where all that remains is negligible, whatever the prefix.

    P(no clock outside H rang, fewer than N in H) is at most P(fewer than N rang at all). An
    empty set of nodes comes back when that takes more than the tabulated ones.

    Example:
        >>> from mdbound.bounds.clock_quadrature import clock_quadrature
        >>> len(ring_nodes(clock_quadrature(8), np.full(1000, 1e-3)).times)
        48
    """
    max_drafts = len(rule.series)
    count = 3 * _NODES
    while count <= len(rule.times):
        if expected_rung(rates, rule.times[count - 1]) >= rule.rung_needed:
            break
        count += _NODES
    if count > len(rule.times):
        count = 0
    light_rate = LIGHT_LIMIT / rule.times[count - 1]
    scaled = rule.times[:count] * light_rate
    powers = np.ones((max_drafts, count))
    for k in range(1, max_drafts):
        powers[k] = powers[k - 1] * scaled
    faint_rate = light_rate * (FAINT_LIMIT / LIGHT_LIMIT)
    return RingNodes(
        rule.times[:count].copy(),
        rule.weights[:count].copy(),
        light_rate,
        faint_rate,
        scaled,
        powers,
    )


@njit(cache=True, nogil=True)
def ring_space(max_drafts: int, count: int) -> RingSpace:
    """Scratch for `count` nodes.

    Example:
        >>> ring_space(8, 48).both.shape
        (8, 48)
    """
    return RingSpace(
        np.empty((max_drafts, count)),
        np.empty((max_drafts, count)),
        np.empty((max_drafts, count)),
        np.empty(count),
        np.empty(count),
        np.empty(count),
    )


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
    nodes: RingNodes, rates: FloatArray, law: FloatArray, sums: FloatArray, silent: FloatArray
) -> None:
    """Add tokens to the law of the heavy ones and to the power sums of the light ones.

    Args:
        nodes: the row's nodes.
        rates: of the tokens to add.
        law: P(N_t = m) of the heavy tokens, shape (N, J), updated.
        sums: power sums of rate / light_rate, shape (NUM_POWERS + 1,), updated.
        silent: scratch, shape (J,).

    Example:
        >>> from mdbound.bounds.clock_quadrature import clock_quadrature
        >>> nodes = ring_nodes(clock_quadrature(2), np.full(100, 0.01))
        >>> law, sums = np.zeros((2, len(nodes.times))), np.zeros(NUM_POWERS + 1)
        >>> law[0] = 1.0
        >>> add_tokens(nodes, np.array([0.5, 1e-9]), law, sums, np.empty(len(nodes.times)))
        >>> bool(np.allclose(law[1], 1.0 - np.exp(-0.5 * nodes.times)))
        True
    """
    inverse = 1.0 / nodes.light_rate
    for start in range(0, len(rates), _BLOCK):
        block = rates[start : start + _BLOCK]
        if faint_sums(block, inverse, nodes.faint_rate, sums) == 0:
            continue
        for i in range(len(block)):
            if block[i] > nodes.light_rate:
                silent_at_nodes(nodes.times, block[i], silent)
                add_heavy(silent, law)
            elif block[i] > nodes.faint_rate:
                add_powers(block[i] * inverse, sums)


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


@njit(cache=True, nogil=True)
def containments_and_slopes(
    rule: ClockQuadrature,
    nodes: RingNodes,
    law: FloatArray,
    sums: FloatArray,
    outside: float,
    space: RingSpace,
    contained: FloatArray,
    slope: FloatArray,
) -> None:
    """F_n of the tokens added so far and its slope, for n = 1..N (index 0 is left alone).

    The slope is the increase of F_n per unit of draft mass for a further token of vanishing mass,
    the integral of e^(-W t) (P(N_t < n) - W t P(N_t < n - 1)). By q-convexity no token added
    earlier had a larger slope, and none added later has a smaller one.

    Args:
        rule: the quadrature.
        nodes: the row's nodes.
        law: of the heavy tokens, shape (N, J).
        sums: of the light tokens.
        outside: W, the mass outside.
        space: scratch.
        contained: written, shape (N + 1,).
        slope: written, shape (N + 1,).
    """
    count = len(nodes.times)
    while count > _NODES and outside * nodes.times[count - _NODES] > _VANISHED:
        count -= _NODES
    light_law(nodes, rule.series, sums, space.sums, space.light, count)
    _convolve(law, space.light, space.both, count)
    silent_at_nodes(nodes.times[:count], outside, space.decay)
    decay, below, less = space.decay[:count], space.below[:count], space.less[:count]
    below[:] = 0.0
    decay *= nodes.weights[:count]
    for n in range(1, len(contained)):
        less[:] = below
        below += space.both[n - 1, :count]
        kept = _dot(decay, below) + rule.early - outside * rule.early_time
        contained[n] = 1.0 - outside * kept
        falling = _slope_dot(decay, nodes.times, below, less, outside)
        slope[n] = falling + rule.early - 2.0 * outside * rule.early_time


@njit(cache=True, nogil=True)
def light_law(
    nodes: RingNodes,
    series: FloatArray,
    sums: FloatArray,
    newton: FloatArray,
    law: FloatArray,
    count: int,
) -> None:
    """P(N_t = m) of the light tokens at the first `count` nodes.

    Twelve power sums are enough before the last sixteen nodes: the nodes are at least e^0.16
    apart, so every x is at most a thirteenth of its largest there.
    """
    early = min(count, len(nodes.times) - _NODES)
    _newton_sums(nodes, series, sums, 12, 0, early, newton)
    if count > early:
        _newton_sums(nodes, series, sums, NUM_POWERS, early, count, newton)
    _light_recursion(nodes.scaled, sums[1], newton, law, count)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _newton_sums(
    nodes: RingNodes,
    series: FloatArray,
    sums: FloatArray,
    top: int,
    start: int,
    stop: int,
    newton: FloatArray,
) -> None:
    """(-1)^(k-1) times the power sums of e^x - 1, from those of x: k < N, by Horner's rule."""
    scaled = nodes.scaled[start:stop]
    sign = 1.0
    for k in range(1, len(newton)):
        power = nodes.powers[k, start:stop]
        terms = newton[k, start:stop]
        coefficient = series[k, top] * sums[top]
        for j in range(len(scaled)):
            terms[j] = coefficient
        for r in range(top - 1, k - 1, -1):
            coefficient = series[k, r] * sums[r]
            for j in range(len(scaled)):
                terms[j] = terms[j] * scaled[j] + coefficient
        for j in range(len(scaled)):
            terms[j] *= sign * power[j]
        sign = -sign


@njit(cache=True, nogil=True, fastmath={"contract"})
def _light_recursion(
    scaled: FloatArray, mass: float, newton: FloatArray, law: FloatArray, count: int
) -> None:
    silent_at_nodes(scaled[:count], mass, law[0])
    for m in range(1, len(law)):
        for j in range(count):
            law[m, j] = newton[1, j] * law[m - 1, j]
        for k in range(2, m + 1):
            for j in range(count):
                law[m, j] += newton[k, j] * law[m - k, j]
        inverse = 1.0 / m
        for j in range(count):
            law[m, j] = max(law[m, j] * inverse, 0.0)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _convolve(heavy: FloatArray, light: FloatArray, both: FloatArray, count: int) -> None:
    for m in range(len(both)):
        for j in range(count):
            both[m, j] = heavy[0, j] * light[m, j]
        for k in range(1, m + 1):
            for j in range(count):
                both[m, j] += heavy[k, j] * light[m - k, j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(left: FloatArray, right: FloatArray) -> float:
    total = 0.0
    for j in range(len(left)):
        total += left[j] * right[j]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _slope_dot(
    decay: FloatArray, times: FloatArray, below: FloatArray, less: FloatArray, outside: float
) -> float:
    total = 0.0
    for j in range(len(decay)):
        total += decay[j] * (below[j] - outside * times[j] * less[j])
    return total
