"""Compensated sums for kernels: the prefix masses that decide a bound are right to an ulp."""

from __future__ import annotations

import numpy as np
from numba import njit

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray

UNIT_ROUNDOFF = 2.0**-53
"""Half the spacing of float64 at 1: the unit in which rounding error bounds are stated."""


@njit(inline="always")
def compensated_add(total: float, lost: float, value: float) -> tuple[float, float]:
    """One step of Neumaier's summation: the new sum, and what rounding has lost so far.

    Sum and loss together are right to an ulp; neither argument may be negative.

    Example:
        >>> compensated_add(1.0, 0.0, 2.0**-60)
        (1.0, 8.673617379884035e-19)
    """
    after = total + value
    if total >= value:
        lost += (total - after) + value
    else:
        lost += (value - after) + total
    return after, lost


@kernel
def prefix_sums(values: FloatArray) -> FloatArray:
    """Sums of the first 0, 1, ..., V values (V + 1 of them), each within an ulp or so.

    Neumaier's compensated summation: the error of each entry is at most
    `UNIT_ROUNDOFF * sum + O(V * UNIT_ROUNDOFF**2)` for values that are not negative.

    Example:
        >>> prefix_sums(np.array([0.5, 0.25])).tolist()
        [0.0, 0.5, 0.75]
    """
    sums = np.empty(len(values) + 1)
    sums[0] = 0.0
    total = 0.0
    lost = 0.0
    for i in range(len(values)):
        total, lost = compensated_add(total, lost, values[i])
        sums[i + 1] = total + lost
    return sums


@kernel
def suffix_sums(values: FloatArray) -> FloatArray:
    """Sums of the values from position 0, 1, ..., V on (V + 1 of them), compensated.

    A complement taken as a sum keeps its relative precision where `1 - prefix` would cancel.

    Example:
        >>> suffix_sums(np.array([0.5, 0.25])).tolist()
        [0.75, 0.25, 0.0]
    """
    return prefix_sums(values[::-1])[::-1].copy()
