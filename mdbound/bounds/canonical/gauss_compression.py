"""Replacing many weighted points on a line by a few, exactly for polynomials (Gauss quadrature)."""

from __future__ import annotations

import math

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray

GAUSS_NODES = 7
"""Nodes per bin: a bin's rule is exact for polynomials of degree 13. Newton's system grows with the
nodes and its time with their cube; fewer need shorter bins."""


def gauss_compression(
    points: FloatArray, masses: FloatArray, bins: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Few points with masses that integrate smooth functions like the many given ones.

    Each bin that holds more than `GAUSS_NODES` points is replaced by the Gauss rule of its own
    discrete measure, so that masses stay positive. For functions that are analytic within pi/2 of
    a bin of width 1 the error is about 1e-11 of the mass.

    Args:
        points: ascending, shape (m,).
        masses: positive, shape (m,).
        bins: bin of each point, non-decreasing, shape (m,).

    Returns:
        Points (ascending) and masses of the compressed measure.

    Example:
        >>> many = np.linspace(0.0, 0.9, 1000)
        >>> points, masses = gauss_compression(many, np.full(1000, 1e-3), np.zeros(1000, dtype=int))
        >>> len(points), bool(abs(masses @ np.exp(points) - np.exp(many).mean()) < 1e-14)
        (7, True)
    """
    starts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
    return _compress(points, masses, np.append(starts, len(points)))


@kernel
def _compress(
    points: FloatArray, masses: FloatArray, starts: IntArray
) -> tuple[FloatArray, FloatArray]:
    size = (len(starts) - 1) * GAUSS_NODES
    kept, weights = np.empty(size), np.empty(size)
    used = 0
    for b in range(len(starts) - 1):
        low, high = starts[b], starts[b + 1]
        if high - low <= GAUSS_NODES:
            rule_points, rule_weights = points[low:high], masses[low:high]
        else:
            rule_points, rule_weights = _gauss_rule(points[low:high], masses[low:high])
        for k in range(len(rule_points)):
            kept[used], weights[used] = rule_points[k], rule_weights[k]
            used += 1
    return kept[:used].copy(), weights[:used].copy()


@kernel
def _gauss_rule(points: FloatArray, masses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Golub-Welsch on the recurrence of the measure's own orthonormal polynomials (Stieltjes)."""
    middle = 0.5 * (points[0] + points[-1])
    total = masses.sum()
    before = np.zeros(len(points))
    current = np.sqrt(masses / total)
    jacobi = np.zeros((GAUSS_NODES, GAUSS_NODES))
    nodes = 0
    off = 0.0
    for k in range(GAUSS_NODES):
        diagonal = 0.0
        for i in range(len(points)):
            diagonal += (points[i] - middle) * current[i] * current[i]
        squares = 0.0
        for i in range(len(points)):
            following = (points[i] - middle - diagonal) * current[i] - off * before[i]
            before[i], current[i] = current[i], following
            squares += following * following
        jacobi[k, k] = diagonal
        nodes = k + 1
        off = math.sqrt(squares)
        # A measure on fewer points than nodes ends the recurrence.
        if k + 1 == GAUSS_NODES or off < 1e-9:
            break
        jacobi[k, k + 1] = off
        jacobi[k + 1, k] = off
        for i in range(len(points)):
            current[i] /= off
    values, vectors = np.linalg.eigh(jacobi[:nodes, :nodes].copy())
    return values + middle, total * vectors[0] ** 2
