"""Plain loops for what numpy has functions for: those bring hundreds of lines to be compiled."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray


@kernel
def copy(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> None:
    """Write the source over as many entries of the target; of one axis, and of the same length.

    Example:
        >>> import numpy as np
        >>> target = np.zeros(2)
        >>> copy(np.ones(2), target)
        >>> target.tolist()
        [1.0, 1.0]
    """
    for i in range(len(source)):
        target[i] = source[i]


@kernel
def total(values: FloatArray) -> float:
    """Sum from the first to the last.

    Example:
        >>> import numpy as np
        >>> total(np.ones(3))
        3.0
    """
    result = 0.0
    for i in range(len(values)):
        result += values[i]
    return result


@kernel
def least(values: FloatArray) -> float:
    """Smallest entry.

    Example:
        >>> import numpy as np
        >>> least(np.array([2.0, 1.0]))
        1.0
    """
    result: float = values[0]
    for i in range(1, len(values)):
        result = values[i] if values[i] < result else result
    return result


@kernel
def most(values: FloatArray) -> float:
    """Largest entry.

    Example:
        >>> import numpy as np
        >>> most(np.array([1.0, 2.0]))
        2.0
    """
    result: float = values[0]
    for i in range(1, len(values)):
        result = values[i] if values[i] > result else result
    return result


@kernel
def nowhere_above(low: FloatArray, high: FloatArray) -> bool:
    """Whether every entry is at most its counterpart.

    Example:
        >>> import numpy as np
        >>> nowhere_above(np.zeros(2), np.ones(2))
        True
    """
    fits = True
    for i in range(len(low)):
        fits = fits and low[i] <= high[i]
    return fits


@kernel
def same(one: FloatArray, other: FloatArray) -> bool:
    """Whether all entries are equal.

    Example:
        >>> import numpy as np
        >>> same(np.zeros(2), np.ones(2))
        False
    """
    equal = True
    for i in range(len(one)):
        equal = equal and one[i] == other[i]
    return equal
