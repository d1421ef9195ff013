"""The order q/p descending, whose prefixes hold the minimiser of p(H) - F(H) (Hu et al. 2025)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray


@kernel
def ratio_order(target: FloatArray, draft: FloatArray) -> npt.NDArray[np.int64]:
    """Ids of the tokens that can be drafted, by q/p descending, ties by id.

    Tokens of zero draft probability are left out: they add to p(H) and never to F(H), so no
    optimal set needs them. The order is taken on p/q ascending, which is 0, not infinite, where
    the target is zero.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).

    Example:
        >>> p, q = np.array([0.5, 0.0, 0.3, 0.2]), np.array([0.2, 0.3, 0.5, 0.0])
        >>> ratio_order(p, q).tolist()
        [1, 2, 0]
    """
    support = np.flatnonzero(draft > 0.0)
    ratio = np.empty(len(support))
    for i in range(len(support)):
        ratio[i] = target[support[i]] / draft[support[i]]
    return support[np.argsort(ratio, kind="mergesort")]


@kernel
def smallest_minimiser(objective: FloatArray, error: float) -> int:
    """First index whose value is the minimum up to rounding.

    Without the allowance, p = q would report a set that rounding noise picked.

    Example:
        >>> smallest_minimiser(np.array([0.0, -0.25, -0.25 - 1e-17]), 1e-15)
        1
    """
    threshold = objective.min() + error
    for i in range(len(objective)):
        if objective[i] <= threshold:
            return i
    return 0
