"""The most likely draft tokens, in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mdbound.bounds.distributions import FloatArray

if TYPE_CHECKING:
    from mdbound.schemes.scheme import IntArray


@njit(cache=True, nogil=True)
def top_tokens(q: FloatArray, count: int) -> IntArray:
    """The `count` tokens of largest q > 0, descending; ties go to the lower token id.

    Returns fewer where the support is smaller. One pass; insertions are rare once the list is full.

    Example:
        >>> top_tokens(np.array([0.2, 0.4, 0.0, 0.4]), 3).tolist()
        [1, 3, 0]
    """
    best = np.empty(count, dtype=np.int64)
    found = 0
    threshold = 0.0
    for x in range(len(q) if count > 0 else 0):
        if q[x] > threshold:
            slot = found if found < count else count - 1
            while slot > 0 and q[best[slot - 1]] < q[x]:
                best[slot] = best[slot - 1]
                slot -= 1
            best[slot] = x
            found = min(found + 1, count)
            if found == count:
                threshold = q[best[count - 1]]
    return best[:found]
