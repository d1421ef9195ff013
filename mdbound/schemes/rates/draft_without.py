"""The law of a draft that must not be one of some tokens."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.rates.residual_mass import total_mass


def draft_without(q: FloatArray, removed: IntArray) -> FloatArray:
    """The draft without the tokens `removed`, normalised; all zero where nothing is left.

    Example:
        >>> draft_without(np.array([0.5, 0.25, 0.25]), np.array([0])).tolist()
        [0.0, 0.5, 0.5]
    """
    rest = q.copy()
    rest[removed] = 0.0
    mass = total_mass(rest)
    return np.asarray(rest / mass) if mass > 0.0 else rest
