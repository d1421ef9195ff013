"""P(all drafts are rejected) by recursive rejection sampling over independent drafts."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.rates.residual_mass import residual_mass


@kernel
def rejection_curve(p: FloatArray, q: FloatArray, max_drafts: int) -> FloatArray:
    """P(all of the first 1, 2, ..., max_drafts drafts are rejected), in O(max_drafts V).

    After i rejections the residual is max(p - a_i q, 0) / Z(a_i) with a_0 = 0 and
    a_{i+1} = a_i + Z(a_i), and Z(a_i) is the probability of getting there.

    Example:
        >>> rejection_curve(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 2).tolist()
        [0.5, 0.25]
    """
    rejected = np.empty(max_drafts)
    a = 0.0
    z = 1.0
    for i in range(max_drafts):
        a += z
        z = residual_mass(p, q, a)
        rejected[i] = z
    return rejected
