"""Weights of a block of the canonical decomposition, under i.i.d. drafts.

When the last block (in sort order) that holds a drafted token holds several, a draw is selected
with probability proportional to a weight a_i of its token. With L the tokens of earlier blocks and

    phi(x) = q(L) + sum over j of the block of q_j e^(-x a_j),
    h(a)   = n * integral over u > 0 of e^(-u) phi(u / a)^(n-1) du,                        (1)

token i is selected with probability q_i h(a_i), which must be p_I(i) = s p_i. So a_i depends on
the token only through c_i = s p_i / q_i, by h(a_i) = c_i. h rises from n q(L)^(n-1) to
n (q(L) + q(block))^(n-1), and

    z = ln(c - lowest) - ln(highest - c)                                                    (2)

is nearly linear in ln a, whatever the block. In z the block's draft mass is compressed to a few
points, Newton's method on (1) finds their ln a, and a token's weight is one inversion of h.
The integral is a trapezoid sum in ln x, geometrically convergent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdbound.bounds.canonical.block_kernels import (
    block_powers,
    marginal_jacobian,
    marginals,
    solve_dense,
)
from mdbound.bounds.canonical.gauss_compression import gauss_compression
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import UnsolvedError

TOLERANCE = 1e-12
"""Newton stops when every marginal is within this of its value, relatively. The quadrature leaves
about 1e-14: nearer to it a step follows rounding, and farther the last step is saved."""

ACCEPTED = 1e-11
"""Or, when rounding stops it earlier, when all of them are within this of the block's mass: the
error that is promised. Less would refuse blocks whose weights span many decades."""

SETTLED = 1e-2
"""Rounding is not blamed for a relative error above this: Newton is still under way. Larger could
stop it early on a slow stretch, smaller lets it step until `PATIENCE` ends."""

LINEAR_BELOW = 1e-6
"""Below this error Newton works on h itself, whose weighted sum is right by construction; above, on
log-odds, in which it is nearly linear and converges from afar."""

MAX_STEPS = 100
"""Newton steps before a block is given up; usual blocks take four to nine. More would only delay
the error of a block that has no weights."""

PATIENCE = 30
"""Steps after which `ACCEPTED` is enough, whatever the last step gained."""

MAX_REFINEMENTS = 4
"""Times that bins may be shortened where weights rise faster than z, each a new solution. Most
blocks need none."""

CHEBYSHEV_NODES = 16
"""Points of the polynomial that stands for the weights of a bin's tokens, to about 1e-12. Each
costs an inversion, and so does each token of a bin with fewer."""


@dataclass(frozen=True)
class BlockWeights:
    """Solved weights of one block, as a function of c = p_I / q.

    Attributes:
        num_drafts: n.
        before: q(L), draft mass of the earlier blocks.
        lowest: n q(L)^(n-1), the limit of c for weight 0.
        highest: n (q(L) + q(block))^(n-1), the limit of c for an infinite weight.
        points: z of the compressed measure, ascending.
        log_weights: ln a at the points, ascending.
        nodes: x of the trapezoid sum.
        low: phi^(n-1) - q(L)^(n-1) at the nodes.
        high: (q(L) + q(block))^(n-1) - phi^(n-1) at the nodes.
    """

    num_drafts: int
    before: float
    lowest: float
    highest: float
    points: FloatArray
    log_weights: FloatArray
    nodes: FloatArray
    low: FloatArray
    high: FloatArray

    def log_weight(self, ratio: FloatArray) -> FloatArray:
        """Logarithm of the weight of tokens with the given p_I / q, shape (k,).

        Many tokens are interpolated between Chebyshev points, to about 1e-12; few are inverted
        one by one. Weights of a block have a common arbitrary factor.

        Raises:
            UnsolvedError: the inversion did not converge.
        """
        z = log_odds(ratio, self.lowest, self.highest)
        if len(z) <= 4 * CHEBYSHEV_NODES:
            return self._invert(z)
        log_weights = np.empty_like(z)
        bins = _bins(z, self.points, self.log_weights)
        for b in np.unique(bins):
            members = np.flatnonzero(bins == b)
            log_weights[members] = self._interpolate(z[members])
        return log_weights

    def _interpolate(self, z: FloatArray) -> FloatArray:
        low, high = float(z.min()), float(z.max())
        if len(z) <= CHEBYSHEV_NODES or high - low < 1e-9:
            return self._invert(z)
        polynomial = np.polynomial.Chebyshev.interpolate(
            self._invert, CHEBYSHEV_NODES - 1, domain=[low, high]
        )
        return np.asarray(polynomial(z))

    def _invert(self, z: FloatArray) -> FloatArray:
        theta = np.interp(z, self.points, self.log_weights)
        inside = (z >= self.points[0]) & (z <= self.points[-1])
        theta += np.where(inside, 0.0, z - np.clip(z, self.points[0], self.points[-1]))
        for _ in range(MAX_STEPS):
            low, high, slope = marginals(theta, self.nodes, self.low, self.high, self.num_drafts)
            excess = np.log(low / high) - z
            theta -= np.clip(excess / (slope * (1.0 / low + 1.0 / high)), -2.0, 2.0)
            if float(np.abs(excess).max()) < 1e-13 * (1.0 + float(np.abs(z).max())):
                return theta
        relative = np.abs(excess) * low * high / ((low + high) * (self.lowest + low))
        if float(relative.max()) <= ACCEPTED:
            return theta
        raise UnsolvedError(
            f"block weights: a marginal is off by {float(relative.max()):.3g} of its value after "
            f"{MAX_STEPS} steps; importance_sampling_lp solves small vocabularies"
        )


def log_odds(ratio: FloatArray, lowest: float, highest: float) -> FloatArray:
    """Coordinate (2) of c = p_I / q in (lowest, highest); c at a limit is moved off it by an ulp.

    Example:
        >>> log_odds(np.array([1.5]), 1.0, 2.0).tolist()
        [0.0]
    """
    above = np.maximum(ratio - lowest, max(2.0**-52 * lowest, 1e-300))
    below = np.maximum(highest - ratio, 2.0**-52 * highest)
    return np.asarray(np.log(above) - np.log(below))


def solve_block(
    draft: FloatArray, ratio: FloatArray, before: float, num_drafts: int
) -> BlockWeights:
    """Solve the weights of one block of at least two tokens.

    Args:
        draft: q of the block's tokens in sort order, shape (m,).
        ratio: p_I / q of the same tokens, ascending, shape (m,).
        before: q(L), draft mass of the earlier blocks.
        num_drafts: n, at least 2.

    Raises:
        UnsolvedError: Newton's method did not converge.

    Example:
        >>> half = np.array([0.5, 0.5])
        >>> weights = solve_block(half, np.array([1.0, 1.0]), 0.0, 3)
        >>> weights.log_weight(np.array([1.0])).round(9).tolist()
        [0.0]
    """
    mass = float(draft.sum())
    power = num_drafts - 1
    lowest, highest = num_drafts * before**power, num_drafts * (before + mass) ** power
    z = np.maximum.accumulate(log_odds(ratio, lowest, highest))
    bins = np.floor(z - z[0]).astype(np.int64)
    guess = 0.7 * (z - z[len(z) // 2])
    for _ in range(MAX_REFINEMENTS):
        points, masses = gauss_compression(z, draft, bins)
        start = np.interp(points, z, guess)
        theta, powers = _newton(start, points, masses, before, num_drafts)
        guess = np.interp(z, points, theta)
        # Where weights rise faster than z the bins must be shorter, for the same accuracy.
        finer = _bins(z, points, theta)
        if len(np.unique(finer)) <= 1.3 * len(np.unique(bins)):
            break
        bins = finer
    return BlockWeights(num_drafts, before, lowest, highest, points, theta, *powers)


def _bins(z: FloatArray, points: FloatArray, theta: FloatArray) -> IntArray:
    """Bins of z in which neither z nor ln a rises by much more than 1."""
    stretched = np.concatenate([[0.0], np.cumsum(np.maximum(np.diff(points), np.diff(theta)))])
    return np.asarray(np.floor(np.interp(z, points, stretched)).astype(np.int64))


def _newton(
    theta: FloatArray, points: FloatArray, masses: FloatArray, before: float, num_drafts: int
) -> tuple[FloatArray, tuple[FloatArray, FloatArray, FloatArray]]:
    """Solve log_odds(h(a_i)) = z_i for theta = ln a; also the final nodes, low and high."""
    previous = np.inf
    for taken in range(MAX_STEPS):
        nodes, low, high = block_powers(theta, masses, before, num_drafts)
        relative, error, step = _newton_step(
            theta, masses, points, (nodes, low, high), before, num_drafts
        )
        # Rounding and quadrature set a floor: there, another step no longer helps.
        settled = (relative < SETTLED and relative > 0.25 * previous) or taken > PATIENCE
        if relative <= TOLERANCE or (settled and error <= ACCEPTED):
            return theta, (nodes, low, high)
        previous = relative
        # Steps above 3 in ln a are shortened; a block of one ratio has nothing to step.
        longest = max(3.0, float(np.abs(step).max()))
        theta = np.maximum.accumulate(theta + step * (3.0 / longest))
    raise UnsolvedError(
        f"block weights: {len(points)} points, the marginals are off by {error:.3g} of the block's "
        f"mass after {MAX_STEPS} Newton steps; importance_sampling_lp solves small vocabularies"
    )


def _newton_step(
    theta: FloatArray,
    masses: FloatArray,
    points: FloatArray,
    powers: tuple[FloatArray, FloatArray, FloatArray],
    before: float,
    num_drafts: int,
) -> tuple[float, float, FloatArray]:
    """Largest relative error of h, total error of the marginals, and the Newton step."""
    nodes, low, high = powers
    above, below, slope = marginals(theta, nodes, low, high, num_drafts)
    excess = np.log(above / below) - points
    lowest = num_drafts * before ** (num_drafts - 1)
    relative = np.abs(excess) * above * below / ((above + below) * (lowest + above))
    share = masses * (lowest + above)
    worst, total = float(relative.max()), float(relative @ share / share.sum())
    inner = (low + before ** (num_drafts - 1)) ** ((num_drafts - 2) / (num_drafts - 1))
    jacobian = marginal_jacobian(theta, masses, nodes, inner, slope, num_drafts)
    jacobian *= (1.0 / above + 1.0 / below)[:, None]
    # Only ratios of weights matter, so one direction of the step is free and one of the residual
    # out of reach: this column takes both. Far out it must not favour any token; near the end it
    # spreads the quadrature error of the sum of all marginals evenly, relative to each marginal.
    pin = np.abs(np.diag(jacobian))
    if worst < LINEAR_BELOW:
        excess = -np.expm1(-excess) * (above + below) / (below + above * np.exp(-excess))
        pin = (lowest + above) * (1.0 / above + 1.0 / below)
    jacobian += (pin / pin.max())[:, None] * (masses / masses.sum())
    step = solve_dense(jacobian, -excess)
    return worst, total, step - step @ masses / masses.sum()
