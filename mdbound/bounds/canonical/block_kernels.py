"""Kernels of the block weights: phi, h and the Newton system of `canonical.weights`.

Plain loops, and a small elimination of their own: at a hundred points a threaded BLAS call costs
more than the arithmetic, and very much more on a busy machine.
"""

from __future__ import annotations

import math

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray

STEP = 0.25
"""Trapezoid step in ln x: leaves about 1e-14 of the integral. The error is squared when the step is
halved, at twice the nodes."""

FIRST_NODE = -15.0
"""ln of the first node times the largest weight: below it the sum is in closed form, which takes
e^-x for 1. An earlier start costs four nodes a unit and leaves less of that."""

LAST_NODE = 4.7
"""ln of the last node times the smallest weight, where e^-x is below 1e-47. Both ends have a margin
of 1, for tokens that lie a little outside the Gauss points of their bin; more of it costs nodes."""


@kernel
def block_powers(
    theta: FloatArray, masses: FloatArray, before: float, num_drafts: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nodes x, and phi^(n-1) there as differences from its two limits, without cancellation.

    Args:
        theta: ln of the weights a_j, shape (m,).
        masses: draft mass q_j, shape (m,).
        before: q(L).
        num_drafts: n, at least 2.

    Returns:
        x; phi(x)^(n-1) - q(L)^(n-1); (q(L) + sum of masses)^(n-1) - phi(x)^(n-1).

    Example:
        >>> x, low, high = block_powers(np.zeros(1), np.ones(1), 0.0, 2)
        >>> bool(abs(low + high - 1.0).max() < 1e-15)
        True
    """
    first = FIRST_NODE - theta.max()
    count = math.ceil((LAST_NODE - theta.min() - first) / STEP) + 1
    nodes, low, high = np.empty(count), np.empty(count), np.empty(count)
    weights = np.exp(theta)
    total = before + masses.sum()
    for g in range(count):
        x = math.exp(first + g * STEP)
        inside = 0.0
        missing = 0.0
        for j in range(len(theta)):
            exponent = weights[j] * x
            if exponent < 0.5:
                gone = -math.expm1(-exponent)
                inside += masses[j] * (1.0 - gone)
                missing += masses[j] * gone
            else:
                stays = math.exp(-exponent)
                inside += masses[j] * stays
                missing += masses[j] * (1.0 - stays)
        phi = before + inside
        to_low, to_high = 0.0, 0.0
        for k in range(num_drafts - 1):
            to_low += phi**k * before ** (num_drafts - 2 - k)
            to_high += phi**k * total ** (num_drafts - 2 - k)
        nodes[g], low[g], high[g] = x, to_low * inside, to_high * missing
    return nodes, low, high


@kernel
def marginals(
    theta: FloatArray, nodes: FloatArray, low: FloatArray, high: FloatArray, num_drafts: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """h(a) less its lower limit, its upper limit less h(a), and dh / d ln a with phi held fixed.

    Args:
        theta: ln a, shape (m,).
        nodes: from `block_powers`, as `low` and `high`.
        low: shape (g,).
        high: shape (g,).
        num_drafts: n.

    Example:
        >>> theta = np.zeros(1)
        >>> x, low, high = block_powers(theta, np.ones(1), 0.0, 2)
        >>> above, below, slope = marginals(theta, x, low, high, 2)
        >>> above.round(9).tolist(), below.round(9).tolist()
        ([1.0], [1.0])
    """
    above, below, slope = np.empty(len(theta)), np.empty(len(theta)), np.empty(len(theta))
    for i in range(len(theta)):
        weight = math.exp(theta[i])
        # Below the first node phi is at its upper limit and the trapezoid sum is geometric.
        gained = weight * nodes[0] / math.expm1(STEP) * low[0]
        missed, rise = 0.0, 0.0
        for g in range(len(nodes)):
            u = weight * nodes[g]
            kernel = u * math.exp(-u)
            gained += kernel * low[g]
            missed += kernel * high[g]
            rise += kernel * (u - 1.0) * high[g]
        above[i] = num_drafts * STEP * gained
        below[i] = num_drafts * STEP * missed
        slope[i] = num_drafts * STEP * rise
    return above, below, slope


@kernel
def marginal_jacobian(
    theta: FloatArray,
    masses: FloatArray,
    nodes: FloatArray,
    inner: FloatArray,
    slope: FloatArray,
    num_drafts: int,
) -> FloatArray:
    """Derivative of every h(a_i) in every ln a_j, shape (m, m).

    Raising a_j lowers phi: d phi / d ln a_j = - q_j x a_j e^(-x a_j).

    Args:
        theta: ln a, shape (m,).
        masses: q_j.
        nodes: x.
        inner: phi^(n-2) at the nodes.
        slope: dh / d ln a with phi held fixed.
        num_drafts: n.
    """
    size, count = len(theta), len(nodes)
    kernel = np.empty((size, count))
    for i in range(size):
        weight = math.exp(theta[i])
        for g in range(count):
            u = weight * nodes[g]
            kernel[i, g] = u * math.exp(-u) * math.sqrt(inner[g])
    jacobian = np.empty((size, size))
    scale = -num_drafts * (num_drafts - 1) * STEP
    for i in range(size):
        for j in range(i, size):
            shared = 0.0
            for g in range(count):
                shared += kernel[i, g] * kernel[j, g]
            jacobian[i, j] = scale * shared * masses[j]
            jacobian[j, i] = scale * shared * masses[i]
        jacobian[i, i] += slope[i]
    return jacobian


@kernel
def solve_dense(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve a small dense system by elimination with row pivoting; both inputs are consumed.

    A pivot of exactly 0 leaves its unknown at 0.

    Example:
        >>> solve_dense(np.array([[0.0, 2.0], [1.0, 1.0]]), np.array([2.0, 3.0])).tolist()
        [2.0, 1.0]
    """
    size = len(right)
    for k in range(size):
        pivot = k
        for i in range(k + 1, size):
            if abs(matrix[i, k]) > abs(matrix[pivot, k]):
                pivot = i
        if matrix[pivot, k] == 0.0:
            continue
        if pivot != k:
            for j in range(k, size):
                matrix[k, j], matrix[pivot, j] = matrix[pivot, j], matrix[k, j]
            right[k], right[pivot] = right[pivot], right[k]
        for i in range(k + 1, size):
            factor = matrix[i, k] / matrix[k, k]
            if factor != 0.0:
                for j in range(k + 1, size):
                    matrix[i, j] -= factor * matrix[k, j]
                right[i] -= factor * right[k]
    for k in range(size - 1, -1, -1):
        total = right[k]
        for j in range(k + 1, size):
            total -= matrix[k, j] * right[j]
        right[k] = total / matrix[k, k] if matrix[k, k] != 0.0 else 0.0
    return right
