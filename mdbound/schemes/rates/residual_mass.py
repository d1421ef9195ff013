"""The function Z(a) = sum over tokens of max(p - a q, 0), on which most schemes' rates rest.

Z is convex, decreasing and piecewise linear with Z(0) = 1 and Z(inf) = p(q = 0). After rejections
the residual of recursive rejection sampling is max(p - a q, 0) / Z(a) for some scalar a, and K-SEQ
accepts with probability 1 - Z(rho).

Sums run over blocks in vector lanes, and blocks are added with Neumaier's compensation: the error
is that of one block, whatever the vocabulary size.
"""

from __future__ import annotations

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray

BLOCK = 256
"""Tokens that are added in vector lanes before one compensated step. Fewer cost more steps; more
lose digits: the error is about `BLOCK / 8` ulps of a block's own sum."""

# Only the order of additions inside one block may change, so that it can use vector lanes,
# for a few ulps of one block.
_LANES = {"reassoc", "nsz", "contract"}


@kernel(fastmath=_LANES)
def _residual_block(p: FloatArray, q: FloatArray, a: float, start: int, stop: int) -> float:
    mass = 0.0
    for i in range(start, stop):
        excess = p[i] - a * q[i]
        mass += excess if excess > 0.0 else 0.0
    return mass


@kernel
def residual_mass(p: FloatArray, q: FloatArray, a: float) -> float:
    """Z(a), the sum of max(p - a q, 0), in one pass over V tokens.

    Example:
        >>> import numpy as np
        >>> residual_mass(np.array([0.5, 0.5]), np.array([0.75, 0.25]), 1.0)
        0.25
    """
    mass = 0.0
    lost = 0.0
    for start in range(0, len(p), BLOCK):
        m = _residual_block(p, q, a, start, min(start + BLOCK, len(p)))
        mass, lost = compensated_add(mass, lost, m)
    return mass + lost


@kernel(fastmath=_LANES)
def _overlap_block(p: FloatArray, q: FloatArray, start: int, stop: int) -> float:
    mass = 0.0
    for i in range(start, stop):
        mass += min(p[i], q[i])
    return mass


@kernel
def overlap_mass(p: FloatArray, q: FloatArray) -> float:
    """Sum of min(p, q) over V tokens.

    Example:
        >>> import numpy as np
        >>> overlap_mass(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
        0.75
    """
    mass = 0.0
    lost = 0.0
    for start in range(0, len(p), BLOCK):
        m = _overlap_block(p, q, start, min(start + BLOCK, len(p)))
        mass, lost = compensated_add(mass, lost, m)
    return mass + lost


@kernel(fastmath=_LANES)
def _mass_block(values: FloatArray, start: int, stop: int) -> float:
    mass = 0.0
    for i in range(start, stop):
        mass += values[i]
    return mass


@kernel
def total_mass(values: FloatArray) -> float:
    """Compensated sum of V values.

    Example:
        >>> import numpy as np
        >>> total_mass(np.array([0.5, 0.25]))
        0.75
    """
    mass = 0.0
    lost = 0.0
    for start in range(0, len(values), BLOCK):
        mass, lost = compensated_add(
            mass, lost, _mass_block(values, start, min(start + BLOCK, len(values)))
        )
    return mass + lost
