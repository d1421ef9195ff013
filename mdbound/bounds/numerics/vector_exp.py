"""exp for kernels, written so that the compiler runs it on whole vectors.

Numba calls the scalar `exp` of the C library unless Intel's vector library is installed. This
one is a polynomial after range reduction, with no branch and no table, so a loop over it becomes
vector code on any processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import float64, int64, njit
from numba.extending import intrinsic

from mdbound.bounds.numerics.compiled.kernels import kernel

EXP_RELATIVE_ERROR = 2.5 * 2.0**-53
"""Relative error of `vector_exp`: 2.5 unit roundoffs (measured: 1.95)."""

_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer in the low bits
_LOG2_E = 1.4426950408889634  # 1 / ln 2
_LN2_HIGH = 6.93147180369123816490e-01  # 33 bits, so that k * _LN2_HIGH is exact
_LN2_LOW = 1.90821492927058770002e-10  # the rest of ln 2
SMALLEST_EXPONENT = -680.0
"""Below this the exponential is 0, so that ratios of what remains stay far from overflow."""


_C = tuple(1.0 / math.factorial(k) for k in range(14))


def _float_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float64 with the given 64 bits."""
    del typing_context, bits

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.bitcast(args[0], ir.DoubleType())

    return float64(int64), generate


def _bits_of_float(typing_context: Any, value: Any) -> Any:
    """The 64 bits of a float64 as an integer."""
    del typing_context, value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.bitcast(args[0], ir.IntType(64))

    return int64(float64), generate


# numba types an intrinsic as what the compiler sees; callers see a function of one number.
float_of_bits: Callable[[int], float] = cast(Any, intrinsic)(_float_of_bits)
bits_of_float: Callable[[float], int] = cast(Any, intrinsic)(_bits_of_float)


@njit(inline="always")
def vector_exp(x: float) -> float:
    """e^x for x <= 0, to `EXP_RELATIVE_ERROR`; 0 below -680, and for -inf.

    The argument is split as k ln 2 + f with |f| <= ln(2) / 2; the Taylor polynomial of degree 13
    leaves 4e-18.

    Example:
        >>> vector_exp(0.0), vector_exp(-np.inf), round(vector_exp(-1.0), 15)
        (1.0, 0.0, 0.367879441171442)
    """
    clipped = max(x, SMALLEST_EXPONENT)
    shifted = clipped * _LOG2_E + _ROUND
    k = shifted - _ROUND
    f = (clipped - k * _LN2_HIGH) - k * _LN2_LOW
    f2 = f * f
    low = (_C[2] + f * _C[3]) + f2 * (_C[4] + f * _C[5])
    high = (_C[6] + f * _C[7]) + f2 * (_C[8] + f * _C[9])
    top = (_C[10] + f * _C[11]) + f2 * (_C[12] + f * _C[13])
    f4 = f2 * f2
    tail = low + f4 * (high + f4 * top)
    power = float_of_bits((bits_of_float(shifted) + 1023) << 52)
    value = (1.0 + (f + f2 * tail)) * power
    return value if x >= SMALLEST_EXPONENT else 0.0


@kernel
def exp_of(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """e^x of every element, none above 0.

    Example:
        >>> exp_of(np.array([0.0, -0.5])).round(12).tolist()
        [1.0, 0.606530659713]
    """
    result = np.empty_like(values)
    for i in range(len(values)):
        result[i] = vector_exp(values[i])
    return result
