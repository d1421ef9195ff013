"""Z(a) by search in a sorted row: for schemes that need it at thousands of points of one row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.summation import prefix_sums, suffix_sums
from mdbound.bounds.problem.array_types import FloatArray


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


def sort_residual(p: FloatArray, q: FloatArray) -> SortedResidual:
    """Sort one row by p/q, O(V log V).

    The sort is numpy's, which uses vector instructions; the order among equal ratios is arbitrary
    and changes no sum by more than rounding.

    Example:
        >>> sort_residual(np.array([1.0, 0.0]), np.array([0.5, 0.5])).token.tolist()
        [1, 0]
    """
    support = np.flatnonzero(q > 0.0)
    with np.errstate(over="ignore"):
        ratio = p[support] / q[support]
    order = np.argsort(ratio)
    return _tables(p, q, support[order], ratio[order])


@kernel
def _tables(
    p: FloatArray, q: FloatArray, token: npt.NDArray[np.int64], ratio: FloatArray
) -> SortedResidual:
    p_sorted = p[token]
    q_sorted = q[token]
    never_drafted = 0.0
    for x in range(len(q)):
        if q[x] == 0.0:
            never_drafted += p[x]
    return SortedResidual(
        token,
        p_sorted,
        q_sorted,
        ratio,
        prefix_sums(p_sorted),
        prefix_sums(q_sorted),
        suffix_sums(p_sorted) + never_drafted,
        suffix_sums(q_sorted),
    )


@kernel
def search_ratio(ratio: FloatArray, a: float, hint: int) -> int:
    """Number of sorted ratios that are at most `a`, searched outwards from `hint`.

    Points that follow each other closely, as those of one sum over tokens do, cost a step or two.

    Example:
        >>> ratio = np.array([0.5, 2.0])
        >>> search_ratio(ratio, 1.0, 0), search_ratio(ratio, 2.0, 0), search_ratio(ratio, 0.1, 2)
        (1, 2, 0)
    """
    size = len(ratio)
    low, high = hint, hint
    step = 1
    while low > 0 and ratio[low - 1] > a:
        high = low - 1
        low = max(low - step, 0)
        step *= 2
    while high < size and ratio[high] <= a:
        low = high + 1
        high = min(high + step, size)
        step *= 2
    while low < high:
        middle = (low + high) // 2
        if ratio[middle] <= a:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def residual_at(row: SortedResidual, a: float, hint: int) -> tuple[float, int]:
    """Z(a), the sum of max(p - a q, 0), and `search_ratio`; `a` may be infinite.

    Example:
        >>> row = sort_residual(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
        >>> residual_at(row, 1.0, 0), residual_at(row, np.inf, 0)
        ((0.25, 1), (0.0, 2))
    """
    k = search_ratio(row.ratio, a, hint)
    left: float = row.p_after[k]
    if row.q_after[k] > 0.0:
        left -= a * row.q_after[k]
    return max(left, 0.0), k
