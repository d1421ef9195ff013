"""Z(a) by binary search: for schemes that need it at thousands of points of one row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.ratio_order import ratio_order
from mdbound.bounds.summation import prefix_sums, suffix_sums


class SortedResidual(NamedTuple):
    """Tokens that can be drafted, by p/q ascending (S of them), and their sums.

    Attributes:
        token: (S,) token ids.
        p: (S,) target probabilities.
        q: (S,) draft probabilities, all positive.
        ratio: (S,) p/q, ascending.
        p_before: (S + 1,) target mass of the first 0, ..., S tokens.
        q_before: (S + 1,) draft mass of the same.
        p_after: (S + 1,) target mass of the other tokens, those of zero draft mass included.
        q_after: (S + 1,) draft mass of the other tokens.
    """

    token: npt.NDArray[np.int64]
    p: FloatArray
    q: FloatArray
    ratio: FloatArray
    p_before: FloatArray
    q_before: FloatArray
    p_after: FloatArray
    q_after: FloatArray


@njit(cache=True, nogil=True)
def sort_residual(p: FloatArray, q: FloatArray) -> SortedResidual:
    """Sort one row by p/q, O(V log V).

    Example:
        >>> sort_residual(np.array([1.0, 0.0]), np.array([0.5, 0.5])).token.tolist()
        [1, 0]
    """
    token = ratio_order(p, q)
    p_sorted = p[token]
    q_sorted = q[token]
    never_drafted = prefix_sums(p[q == 0.0])[-1]
    return SortedResidual(
        token,
        p_sorted,
        q_sorted,
        p_sorted / q_sorted,
        prefix_sums(p_sorted),
        prefix_sums(q_sorted),
        suffix_sums(p_sorted) + never_drafted,
        suffix_sums(q_sorted),
    )


@njit(cache=True, nogil=True)
def residual_at(row: SortedResidual, a: float) -> float:
    """Z(a), the sum of max(p - a q, 0), in O(log V); `a` may be infinite.

    Example:
        >>> row = sort_residual(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
        >>> residual_at(row, 1.0), residual_at(row, np.inf)
        (0.25, 0.0)
    """
    k = np.searchsorted(row.ratio, a, side="right")
    left: float = row.p_after[k]
    if row.q_after[k] > 0.0:
        left -= a * row.q_after[k]
    return max(left, 0.0)
