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
    orders, support = ratio_orders(target[None], draft[None])
    return orders[0, : support[0]]


def ratio_orders(target: FloatArray, draft: FloatArray) -> tuple[IntArray, IntArray]:
    """`ratio_order` of each row, followed by the tokens that cannot be drafted.

    Args:
        target: p, shape (B, V).
        draft: q, shape (B, V).

    Returns:
        The orders, shape (B, V), and how many tokens of each can be drafted, shape (B,).

    Example:
        >>> p, q = np.array([[0.5, 0.0, 0.3, 0.2]]), np.array([[0.2, 0.3, 0.5, 0.0]])
        >>> [found.tolist() for found in ratio_orders(p, q)]
        [[[1, 2, 0, 3]], [3]]
    """
    drafted = draft > 0.0
    with np.errstate(over="ignore"):  # of a denormal draft mass: last, whatever the target
        ratio = np.divide(target, draft, out=np.full_like(target, np.inf), where=drafted)
    ratio = np.minimum(ratio, np.finfo(np.float64).max, out=ratio, where=drafted)
    order: IntArray = np.argsort(ratio, axis=1, kind="stable")
    return order, drafted.sum(axis=1)
