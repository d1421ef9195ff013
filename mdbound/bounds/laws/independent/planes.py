"""Linear functions above a product of several factors on a box."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.laws.independent.undecided import OpenTokens, line_gaps
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray

_PLANES = 5  # mixtures of the two planes that are tried on a box


@kernel
def plane_bound(tokens: OpenTokens, low: FloatArray, high: FloatArray) -> float:
    """No set of the box has a smaller p(H) - prod_k q_k(H) than this, up to rounding.

    Args:
        tokens: the sets hold what is inside, any of the open tokens, and nothing else.
        low: q_k(H) is at least this, shape (K,).
        high: q_k(H) is at most this.

    Example:
        >>> masses = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
        >>> tokens = OpenTokens(np.arange(2), masses, np.zeros(4), 2)
        >>> plane_bound(tokens, np.array([0.5, 0.5]), np.array([1.0, 1.0]))
        0.0
    """
    best = -np.inf
    one, gap = np.ones(1), np.empty(1)
    for plane in range(_PLANES):
        slopes, constant = product_overestimator(low, high, plane / (_PLANES - 1.0))
        line_gaps(tokens, slopes, one, gap)
        best = max(best, -gap[0] - constant)
    return best


@kernel
def product_overestimator(
    low: FloatArray, high: FloatArray, mix: float
) -> tuple[FloatArray, float]:
    """Linear function above the product of x_k on the box, as slopes and a constant.

    McCormick's two planes over x y, applied from the last factor to the first with y the
    product of the later ones, mixed with weight `mix` on the first plane.

    Args:
        low: lower corner of the box, shape (K,), not negative.
        high: upper corner.
        mix: in [0, 1].

    Example:
        >>> slopes, constant = product_overestimator(np.zeros(2), np.ones(2), 1.0)
        >>> slopes.tolist(), constant
        ([0.0, 1.0], 0.0)
    """
    num_drafts = len(low)
    slopes = np.zeros(num_drafts)
    slopes[num_drafts - 1] = 1.0
    constant = 0.0
    later_low, later_high = low[num_drafts - 1], high[num_drafts - 1]
    for k in range(num_drafts - 2, -1, -1):
        # x y <= high y + later_low x - high later_low, and the same with the ends exchanged.
        factor = mix * high[k] + (1.0 - mix) * low[k]
        slopes *= factor
        constant *= factor
        slopes[k] = mix * later_low + (1.0 - mix) * later_high
        constant -= mix * high[k] * later_low + (1.0 - mix) * low[k] * later_high
        later_low *= low[k]
        later_high *= high[k]
    return slopes, constant
