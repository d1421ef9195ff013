"""Where the sets better than the best one known can be: a bound by the mean of the draft masses.

With any weights w_k > 0 and S(H) = sum of w_k q_k(H), the inequality of the arithmetic and the
geometric mean bounds the containment of independent drafts by a function of S alone,

    q_1(H) ... q_K(H) <= phi(S(H)),    phi(S) = (S / K)^K / (w_1 ... w_K),

with equality where all w_k q_k(H) are equal: at the optimal set, if w_k is the product of the
other masses there. And p(H) >= s S(H) - g(s) for every scale s, with g(s) the sum of the positive
s w.q_i - p_i. So a set with p(H) - prod q_k(H) < v has max_s [s S - g(s)] - phi(S) < v, which a
few scales confine to a short range of S. Then

- a token outside H_1 = {p_i < w.q_i} that is in H, or one inside that is not, costs
  |p_i - w.q_i|, and all of them together cost less than delta = v + g(1) + max [phi(S) - S];
- so q_k(H) is within reach / w_k of q_k(H_1), reach = delta / e + S(H_(1+e)) - S(H_(1-e)) for
  any e > 0: tokens with |p_i - w.q_i| >= e w.q_i have S-mass at most delta / e, the others are
  between the two threshold sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.independent.undecided import SUM_ERROR, OpenTokens, line_gaps, product
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.problem.array_types import FloatArray

LEAST_PRODUCT = 1e-250
"""Below this the product of the weights is too near to underflow for the bound."""

_BISECTIONS = 40
"""Halvings towards an end of a range: it then is off by 1e-12 of it, outwards."""

_LEAST_STEP = 1e-7
"""Between scales that say how far a set may reach: nearer ones differ by rounding."""

_ROUNDING = 1.0 + 1e-6
"""Allowance on how far a set may reach, well above the rounding of what it is computed from."""


class Confinement(NamedTuple):
    """What a better set must satisfy.

    Attributes:
        possible: whether there can be one.
        low: least S(H).
        high: largest S(H).
        cost: delta, more than the sum of |p_i - w.q_i| over the tokens where it differs from H_1.
        reach: w_k q_k(H) differs from w_k q_k(H_1) by at most this.
    """

    possible: bool
    low: float
    high: float
    cost: float
    reach: float


@kernel
def containment_limit(mass: float, num_drafts: int, weight_product: float) -> float:
    """phi(S): no set with S(H) = `mass` has a larger product of its q_k(H).

    Example:
        >>> containment_limit(1.0, 2, 1.0)
        0.25
    """
    mean = mass / num_drafts
    power = 1.0
    for _ in range(num_drafts):
        power *= mean
    return power / weight_product


@kernel
def scales_around(lowest: float, highest: float, per_side: int, ratio: float) -> FloatArray:
    """1, and on each side scales whose distance from 1 shrinks by `ratio` from the ends.

    Args:
        lowest: below 1.
        highest: above 1.
        per_side: scales on each side.
        ratio: below 1.

    Example:
        >>> scales_around(0.5, 3.0, 2, 0.5).tolist()
        [0.5, 0.75, 1.0, 2.0, 3.0]
    """
    scales = np.ones(2 * per_side + 1)
    below, above = 1.0 - lowest, highest - 1.0
    for j in range(per_side):
        scales[j] = 1.0 - below
        scales[2 * per_side - j] = 1.0 + above
        below *= ratio
        above *= ratio
    return scales


@kernel
def confine(
    tokens: OpenTokens,
    weights: FloatArray,
    scales: FloatArray,
    low: float,
    high: float,
    limit: float,
) -> Confinement:
    """Confine the sets with p(H) - prod q_k(H) < `limit`.

    Args:
        tokens: the sets hold what is inside, any of the open tokens, and nothing else.
        weights: w, shape (K,), with a product of at least `LEAST_PRODUCT`.
        scales: from `scales_around`.
        low: S(H) is at least this.
        high: S(H) is at most this.
        limit: v, at most 0.

    Example:
        >>> masses = np.array([[0.2, 0.8], [0.5, 0.5], [0.5, 0.5]])
        >>> tokens = OpenTokens(np.arange(2), masses, np.zeros(4), 2)
        >>> scales = scales_around(0.2, 1.8, 8, 0.5)
        >>> confine(tokens, np.ones(2), scales, 0.0, 2.0, -0.06).possible
        False
        >>> confine(tokens, np.ones(2), scales, 0.0, 2.0, -0.04).possible
        True
    """
    num_drafts = len(weights)
    weight_product = product(weights)
    gaps = safe_gaps(tokens, weights, scales)
    low, high = feasible_range(scales, gaps, num_drafts, weight_product, low, high, limit)
    if low > high:
        return Confinement(False, low, high, 0.0, 0.0)
    middle = len(scales) // 2
    excess = max(
        containment_limit(low, num_drafts, weight_product) - low,
        containment_limit(high, num_drafts, weight_product) - high,
    )
    cost = max(limit + gaps[middle] + excess, 0.0)
    return Confinement(True, low, high, cost, _reach(scales, gaps, cost))


@kernel
def shrink_box(
    found: Confinement, weights: FloatArray, middle: FloatArray, low: FloatArray, high: FloatArray
) -> None:
    """Shrink a box of draft masses to those that a confined set can have.

    Args:
        found: from `confine`.
        weights: w, shape (K,).
        middle: q_k(H_1), shape (K,).
        low: lower corner, shape (K,); updated.
        high: upper corner; updated.

    Example:
        >>> low, high = np.zeros(2), np.ones(2)
        >>> shrink_box(Confinement(True, 1.5, 1.8, 0.0, 0.3), np.ones(2), low + 0.8, low, high)
        >>> low.round(9).tolist(), high.round(9).tolist()
        ([0.5, 0.5], [1.0, 1.0])
    """
    rounding = 4.0 * SUM_ERROR
    least, most = 0.0, 0.0
    for k in range(len(weights)):
        reach = found.reach / weights[k] + rounding
        low[k] = max(low[k], middle[k] - reach)
        high[k] = min(high[k], middle[k] + reach)
        least += weights[k] * low[k]
        most += weights[k] * high[k]
    for k in range(len(weights)):
        # What the others cannot add to S(H) is left for this one.
        others_most = most - weights[k] * high[k]
        others_least = least - weights[k] * low[k]
        error = rounding * (most + found.high)
        low_k = (found.low - others_most - error) / weights[k]
        high[k] = min(high[k], (found.high - others_least + error) / weights[k])
        low[k] = max(low[k], low_k)


@kernel
def safe_gaps(tokens: OpenTokens, weights: FloatArray, scales: FloatArray) -> FloatArray:
    """g(s) of `line_gaps`, raised by its rounding as far as this exceeds that of a gap of K.

    A gap is right to `SUM_ERROR` times itself and the masses inside, s S(H_s) and p(H_s), so to
    (`SUM_ERROR` + (K + 8) u) (g + 2). What is left, K + 2 times that, is in the stated error.

    Args:
        tokens: as for `confine`.
        weights: w, shape (K,).
        scales: shape (J,).

    Example:
        >>> masses = np.array([[0.4, 0.6], [0.5, 0.5]])
        >>> tokens = OpenTokens(np.arange(2), masses, np.zeros(3), 2)
        >>> safe_gaps(tokens, np.ones(1), np.ones(1)).round(12).tolist()
        [0.1]
    """
    gaps = np.empty(len(scales))
    line_gaps(tokens, weights, scales, gaps)
    error = SUM_ERROR + (len(weights) + 8.0) * UNIT_ROUNDOFF
    for j in range(len(gaps)):
        gaps[j] += error * max(gaps[j] - len(weights), 0.0)
    return gaps


@kernel
def _reach(scales: FloatArray, gaps: FloatArray, cost: float) -> float:
    middle = len(scales) // 2
    reach = np.inf
    for j in range(1, middle):
        upper, lower = middle + j, middle - j
        width = min(scales[upper] - 1.0, 1.0 - scales[lower])
        # g is convex with slope S(H_s): the slopes of the next chords enclose those at the scales.
        above, below = scales[upper + 1] - scales[upper], scales[lower] - scales[lower - 1]
        if min(width, above, below) < _LEAST_STEP:
            break
        most = (gaps[upper + 1] - gaps[upper]) / above
        least = (gaps[lower] - gaps[lower - 1]) / below
        rounding = 8.0 * SUM_ERROR * (1.0 + gaps[upper + 1] + most) * (1.0 / above + 1.0 / below)
        # |p_i - w.q_i| is right to (K + 2) u w.q_i: a small part of `_ROUNDING` of the width.
        reach = min(reach, (cost / width + max(most - least, 0.0)) * _ROUNDING + rounding)
    return reach


@kernel
def feasible_range(
    scales: FloatArray,
    gaps: FloatArray,
    num_drafts: int,
    weight_product: float,
    low: float,
    high: float,
    limit: float,
) -> tuple[float, float]:
    """Ends of the S in [low, high] with max_j (s_j S - g_j) - phi(S) < limit; low > high if none.

    Between two breakpoints one line stands for the maximum. A line less the convex phi is
    concave, so it is below the limit at an end of such a piece or nowhere in it.

    Args:
        scales: slopes s_j, rising.
        gaps: g_j.
        num_drafts: K.
        weight_product: w_1 ... w_K.
        low: end of the range to start with.
        high: the other end.
        limit: v.

    Example:
        >>> low, high = feasible_range(np.ones(1), np.zeros(1), 2, 1.0, 0.0, 8.0, -1.0)
        >>> round(low, 9), high
        (4.828427125, 8.0)
    """
    count = len(scales)
    edges = np.empty(count + 1)
    edges[0], edges[count] = low, high
    for j in range(1, count):
        step = scales[j] - scales[j - 1]
        crossing = (gaps[j] - gaps[j - 1]) / step if step > 0.0 else edges[j - 1]
        edges[j] = min(max(crossing, edges[j - 1]), high)
    first, last = np.inf, -np.inf
    for j in range(count):
        first = _first_below(
            scales[j], gaps[j], num_drafts, weight_product, edges[j], edges[j + 1], limit
        )
        if first < np.inf:
            break
    if first == np.inf:
        return 1.0, 0.0
    for j in range(count - 1, -1, -1):
        last = _first_below(
            scales[j], gaps[j], num_drafts, weight_product, edges[j + 1], edges[j], limit
        )
        if last < np.inf:
            break
    return min(first, last), max(first, last)


@kernel
def _first_below(
    scale: float,
    gap: float,
    num_drafts: int,
    weight_product: float,
    start: float,
    stop: float,
    limit: float,
) -> float:
    """From `start` to `stop`, where s S - g - phi(S) falls below the limit; infinity if nowhere."""
    if scale * start - gap - containment_limit(start, num_drafts, weight_product) < limit:
        return start
    if scale * stop - gap - containment_limit(stop, num_drafts, weight_product) >= limit:
        return np.inf
    above, below = start, stop
    for _ in range(_BISECTIONS):
        middle = 0.5 * (above + below)
        if scale * middle - gap - containment_limit(middle, num_drafts, weight_product) < limit:
            below = middle
        else:
            above = middle
    return above
