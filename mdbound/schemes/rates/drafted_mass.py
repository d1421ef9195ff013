"""Mass that some weights have on tokens which independent drafts hit."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.rates.residual_mass import BLOCK


@kernel(fastmath={"reassoc", "nsz", "contract"})
def _block(weights: FloatArray, q: FloatArray, num_drafts: int, start: int, stop: int) -> float:
    # 1 - (1-q)^n = q (1 + m (1 + m (...))) with m = 1 - q: no cancellation at small q, no power.
    drafted = np.empty(BLOCK)
    width = stop - start
    for i in range(width):
        drafted[i] = 1.0
    for _ in range(num_drafts - 1):
        for i in range(width):
            drafted[i] = 1.0 + (1.0 - q[start + i]) * drafted[i]
    mass = 0.0
    for i in range(width):
        mass += weights[start + i] * q[start + i] * drafted[i]
    return mass


@kernel
def drafted_mass(weights: FloatArray, q: FloatArray, num_drafts: int) -> float:
    """Sum of w (1 - (1 - q)^n) over V tokens, for n >= 1 drafts from one distribution, O(nV).

    Args:
        weights: w (V,), none negative.
        q: (V,) draft probabilities.
        num_drafts: n.

    Example:
        >>> drafted_mass(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 2)
        0.75
    """
    mass = 0.0
    lost = 0.0
    for start in range(0, len(q), BLOCK):
        stop = min(start + BLOCK, len(q))
        mass, lost = compensated_add(mass, lost, _block(weights, q, num_drafts, start, stop))
    return mass + lost


def drafted_mass_of_each(weights: FloatArray, drafts: list[FloatArray]) -> float:
    """The same for one draft from each of several distributions: sum of w (1 - prod (1 - q_k)).

    Example:
        >>> half, sure = np.array([0.5, 0.5]), np.array([1.0, 0.0])
        >>> drafted_mass_of_each(np.array([0.5, 0.5]), [half, sure])
        0.75
    """
    missed = np.sum([np.log1p(-np.minimum(q, 1.0 - 2.0**-53)) for q in drafts], axis=0)
    certain = np.any([q >= 1.0 for q in drafts], axis=0)
    drafted = np.where(certain, 1.0, -np.expm1(missed))
    return float(np.sum(weights * drafted))
