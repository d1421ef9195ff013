"""Containment increments F(first k + 1 tokens) - F(first k tokens), for every k in one sweep.

Each is computed as a product or an integral of its own, never as a difference of containments, so
that a token of tiny draft probability keeps its relative precision.
"""

from __future__ import annotations

import math

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.exponential_clocks import FIRST_TIME, NEGLIGIBLE, trapezoid_step
from mdbound.bounds.numerics.summation import prefix_sums, suffix_sums
from mdbound.bounds.problem.array_types import FloatArray


def with_replacement_increments(draft: FloatArray, num_drafts: int) -> FloatArray:
    """Increments of Q_k^n: q_k (Q_k^(n-1) + Q_k^(n-2) Q_(k+1) + ... + Q_(k+1)^(n-1)).

    Args:
        draft: q in the order of the prefixes, shape (m,).
        num_drafts: n, at least 1.

    Example:
        >>> with_replacement_increments(np.array([0.5, 0.5]), 2).tolist()
        [0.25, 0.75]
    """
    mass = prefix_sums(draft)
    before, after = mass[:-1], mass[1:]
    mean = np.ones_like(draft)
    power = np.ones_like(draft)
    for _ in range(num_drafts - 1):
        power *= after
        mean = mean * before + power
    return np.asarray(draft * mean)


def without_replacement_increments(draft: FloatArray, num_drafts: int) -> FloatArray:
    """Increments of F_n for sequential draws without replacement (ratios of `draft` matter).

    Args:
        draft: q in the order of the prefixes, all positive, shape (m,).
        num_drafts: n, at least 1.

    Returns:
        Shape (m,), summing to 1. For n >= 3 each has absolute error of about 1e-15 times its rate.

    Example:
        >>> without_replacement_increments(np.array([0.5, 0.25, 0.25]), 2).round(6).tolist()
        [0.0, 0.416667, 0.583333]
    """
    size = len(draft)
    increments = np.zeros(size)
    if num_drafts >= size:
        increments[-1] = 1.0
        return increments
    rates = draft / prefix_sums(draft)[-1]
    if num_drafts == 1:
        return np.asarray(rates)
    if num_drafts == 2:
        return _pair_increments(rates)
    step = trapezoid_step(num_drafts)
    increments = _clock_increments(rates, suffix_sums(rates), num_drafts, step)
    increments[: num_drafts - 1] = 0.0
    return increments


def _pair_increments(rates: FloatArray) -> FloatArray:
    """Token i joins j of the prefix: q_i q_j / (1 - q_i) + q_j q_i / (1 - q_j)."""
    heaviest = int(np.argmax(rates))
    left = 1.0 - rates
    # 1 - q cancels for a token that has nearly all the mass: there it is a sum over the others.
    left[heaviest] = math.fsum(np.delete(rates, heaviest))
    odds = prefix_sums(rates / left)[:-1]
    mass = prefix_sums(rates)[:-1]
    return np.asarray(rates * (odds + mass / left))


@kernel
def _clock_increments(
    rates: FloatArray, outside: FloatArray, num_drafts: int, step: float
) -> FloatArray:
    """Integral (1) of `exponential_clocks` for all prefixes, as a sweep over tokens per time node.

    With W and W' the rates outside the prefix before and after token k joins, and N_t the clocks
    of the prefix that rang, the slope (F(after) - F(before)) / rate is the integral over t of

        e^(-W t) P(N_t < n) - W' e^(-W' t) (1 - e^(-rate t)) / rate * P(N_t < n - 1).
    """
    size = len(rates)
    slope = np.zeros(size)
    law = np.empty(num_drafts)
    node = math.floor(math.log(FIRST_TIME) / step)
    first = math.exp(node * step)
    while True:
        t = math.exp(node * step)
        law[:] = 0.0
        law[0] = 1.0
        below = 1.0
        contributes = False
        silent = math.exp(-outside[0] * t)
        for k in range(size):
            rate, longer = rates[k], outside[k + 1]
            rings = -math.expm1(-rate * t)
            silent_after = math.exp(-longer * t)
            if silent_after * below > NEGLIGIBLE:
                contributes = True
                less = below - law[num_drafts - 1]
                slope[k] += t * (silent * below - longer * silent_after * (rings / rate) * less)
            silent = silent_after
            below = 0.0
            for m in range(num_drafts - 1, 0, -1):
                law[m] += rings * (law[m - 1] - law[m])
                below += law[m]
            law[0] -= rings * law[0]
            below += law[0]
            if below < NEGLIGIBLE:
                break
        if not contributes:
            break
        node += 1
    _add_early_times(slope, outside, first, step)
    return rates * slope


@kernel
def _add_early_times(slope: FloatArray, outside: FloatArray, first: float, step: float) -> None:
    """Turn sums over nodes into integrals, with the nodes before the first.

    There P(N_t < n - 1) is 1 up to t^2, and the sum over nodes is geometric.
    """
    sums = np.empty(4)
    for r in range(1, 4):
        shrink = math.exp(-r * step)
        sums[r] = first**r * shrink / (1.0 - shrink)
    for k in range(len(slope)):
        w, v = outside[k], outside[k + 1]
        early = sums[1] - (w + v) * sums[2] + 0.5 * (w * w + w * v + v * v) * sums[3]
        slope[k] = max(step * (slope[k] + early), 0.0)
