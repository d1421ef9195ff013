"""The order q/p descending, whose prefixes hold the minimiser of p(H) - F(H) (Hu et al. 2025)."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray, IntArray


def ratio_order(target: FloatArray, draft: FloatArray) -> IntArray:
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
    with np.errstate(over="ignore"):  # of a denormal draft mass: last, whatever the target
        ratio = target[support] / draft[support]
    order: IntArray = support[np.argsort(ratio, kind="stable")]
    return order
