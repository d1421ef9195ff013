"""Compensated running sums in plain numpy.

The solver has sums of its own in `numerics`. These are written again on purpose: a certificate
shares no code with what it checks.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray


def sums_from_the_front(values: FloatArray) -> FloatArray:
    """Sums of the first 1, 2, ..., m values, none negative, each within an ulp.

    What each addition of the plain running sum lost is known exactly (Knuth's two-sum), so its
    own running sum is added back: the error is one rounding, and a part m^2 2^-106 of the sum.

    Example:
        >>> sums_from_the_front(np.array([1.0, 2.0**-53, 2.0**-53])).tolist()
        [1.0, 1.0, 1.0000000000000002]
    """
    sums = np.cumsum(values)
    before, after = sums[:-1], sums[1:]
    added = after - before
    lost = (before - (after - added)) + (values[1:] - added)
    after += np.cumsum(lost)
    return sums


def sums_to_the_end(values: FloatArray) -> FloatArray:
    """Sums of the values from position 0, 1, ..., m on (m + 1 of them).

    Example:
        >>> sums_to_the_end(np.array([0.5, 0.25])).tolist()
        [0.75, 0.25, 0.0]
    """
    return np.append(sums_from_the_front(values[::-1])[::-1], 0.0)
