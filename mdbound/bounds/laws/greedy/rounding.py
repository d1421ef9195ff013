"""Rounding of the greedy construction's value, and what counts as a tie."""

from __future__ import annotations

import math

from mdbound.bounds.numerics.fused_softmax import mass_error
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF

BLOCK = 512
"""Tokens summed in any order; the sums of blocks are compensated."""

TIE = 2.0**-50
"""p within this of h, relatively, counts as equal: rounding must not pick the set."""

SUM_ERROR = (2.0 * BLOCK + 40.0) * UNIT_ROUNDOFF
"""Two sums of blocks, the renormalisation, a product and a minimum for each token."""


def softmax_error(vocab_size: int) -> float:
    """Rounding of the probabilities: `mass_error` in p, and 4 + 3 |ln q| roundoffs each in h.

    The mean of |ln q| over the rest is at most ln V + |ln q(rest)|, and the latter at most
    680 + ln V because smaller exponentials are taken as 0.

    Example:
        >>> softmax_error(49_152) < 4e-13
        True
    """
    of_draw = 10.0 + 3.0 * (2.0 * math.log(vocab_size) + 680.0)
    return float((mass_error(vocab_size) + of_draw) * UNIT_ROUNDOFF)
