"""Smooth stand-ins of the largest and of the positive part, with derivatives: what a fit needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdbound.trees.optima.path_bound.hats import Floats

Groups = NDArray[np.int64]
"""Numbers of K paths, a row each."""


def soft_positive(values: Floats, sharpness: float) -> tuple[Floats, Floats]:
    """log(1 + exp(b z))/b, not below the positive part of z, and its derivative.

    Example:
        >>> soft, slope = soft_positive(np.array([0.0, 50.0]), 1.0)
        >>> slope.round(3).tolist(), soft[1].item()
        ([0.5, 1.0], 50.0)
    """
    scaled = sharpness * values
    soft = np.logaddexp(0.0, scaled) / sharpness
    return soft, np.exp(-np.logaddexp(0.0, -scaled))


def soft_largest(prices: Floats, groups: Groups, sharpness: float) -> tuple[float, Floats]:
    """Mean over groups of the soft largest price of their paths' nodes, or of the context, 0.

    Args:
        prices: Of the nodes along N paths, (N, L).
        groups: Of K paths each.
        sharpness: b of log(sum of exp(b f))/b.

    Returns:
        The mean, and its derivatives by the prices, (N, L).

    Example:
        >>> value, slope = soft_largest(np.array([[1.0, 3.0]]), np.array([[0]]), 100.0)
        >>> round(value, 6), slope.round(6).tolist()
        (3.0, [[0.0, 1.0]])
    """
    scaled = sharpness * prices
    top = np.maximum(scaled.max(axis=1), 0.0)
    shares = np.exp(scaled - top[:, None])
    total = shares.sum(axis=1) + np.exp(-top)
    of_path = top + np.log(total)
    grouped = of_path[groups]
    best = grouped.max(axis=1)
    weights = np.exp(grouped - best[:, None])
    sums = weights.sum(axis=1)
    value = float(np.mean(best + np.log(sums))) / sharpness
    weights /= sums[:, None] * len(groups)
    path_weight = np.bincount(groups.ravel(), weights=weights.ravel(), minlength=len(prices))
    return value, shares * (path_weight / total)[:, None]
