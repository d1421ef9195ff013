"""A lower bound between two known values of a function, from how fast it can fall and rise."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel


@kernel
def lowest_between(left: float, right: float, span: float, fall: float, rise: float) -> float:
    """Lower bound on a function that is `left` at 0 and `right` at `span`, from its slopes.

    Going right it falls by at most `fall`, going left by at most `rise`, per unit.

    Example:
        >>> lowest_between(0.0, 0.0, 2.0, 1.0, 1.0)
        -1.0
    """
    if fall <= 0.0:
        return left
    if rise <= 0.0:
        return right
    if rise == np.inf:
        return left - span * fall
    # Where the two lines meet, as a weighted mean: the meeting point itself would be lost to
    # rounding when one slope is many orders above the other.
    share = rise / (fall + rise)
    meeting = left * share + right * (1.0 - share) - span * fall * share
    return min(meeting, left, right)
