"""Weights of a block from its drafted sets, whatever the draft law: a certified Newton method.

Over the sets S of tokens that compete, of probability m(S), token i is selected with probability

    P(i) = sum over S that hold i of m(S) a_i / sum over j in S of a_j,                        (1)

and the weights a for which P is the wanted law maximise the concave function

    sum over i of wanted_i log a_i - sum over S of m(S) log sum over j in S of a_j              (2)

of log a: its gradient is wanted - P. Newton's method on (2) needs no integral, so it serves every
law whose sets can be listed. What it returns was evaluated by (1) in its last step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import UnsolvedError

TOLERANCE = 1e-13
"""Newton stops when P is within this of the wanted law, in all: about the rounding of the sums."""

ACCEPTED = 1e-11
"""Or, when rounding stops it earlier, within this: the error that is promised."""

MAX_STEPS = 200
"""Newton steps before a block is given up. Most take ten; a block of weights that span twenty
decades takes fifty, as a step changes a weight by e^3 at most."""

LONGEST_STEP = 3.0
"""In log a. Longer ones overshoot where (2) is far from quadratic."""


@dataclass(frozen=True)
class CompetingSets:
    """Sets of a block that hold two of its tokens or more.

    Attributes:
        member: token of each entry, as its place in the block, shape (entries,).
        start: where the entries of each set begin, shape (sets,).
        mass: probability of each set, shape (sets,).
    """

    member: IntArray
    start: IntArray
    mass: FloatArray

    def sizes(self) -> IntArray:
        """Number of tokens of each set."""
        return np.diff(self.start, append=len(self.member))


def set_weights(sets: CompetingSets, wanted: FloatArray) -> FloatArray:
    """Logarithms of the weights with which each token is selected as often as wanted.

    Args:
        sets: what competes.
        wanted: probability that each token is selected in one of these sets, shape (k,); the same
            in all as the sets have.

    Returns:
        Shape (k,), with a common arbitrary summand.

    Raises:
        UnsolvedError: no weights give the wanted law within `ACCEPTED`.

    Example:
        >>> one = CompetingSets(np.array([0, 1]), np.array([0]), np.array([1.0]))
        >>> weights = np.exp(set_weights(one, np.array([0.25, 0.75])))
        >>> round(float(weights[1] / weights[0]), 9)
        3.0
    """
    theta = np.log(np.maximum(wanted, np.finfo(np.float64).tiny))
    best, best_error = theta, np.inf
    for _ in range(MAX_STEPS):
        shares = _shares(sets, theta)
        law = _law(sets, shares, len(wanted))
        excess = law - wanted
        error = float(np.abs(excess).sum())
        if error < best_error:
            best, best_error = theta, error
        if error <= TOLERANCE:
            break
        theta = _step(sets, theta, shares, law, excess)
    if best_error <= ACCEPTED:
        return np.asarray(best)
    raise UnsolvedError(
        f"weights of {len(wanted)} tokens in {len(sets.mass)} drafted sets: the law of the "
        f"selected token is off by {best_error:.3g} after {MAX_STEPS} Newton steps; "
        "importance_sampling_lp solves small vocabularies"
    )


def _shares(sets: CompetingSets, theta: FloatArray) -> FloatArray:
    """a_i over the sum of its set, for each entry."""
    values = theta[sets.member]
    sizes = sets.sizes()
    values = np.exp(values - np.repeat(np.maximum.reduceat(values, sets.start), sizes))
    return np.asarray(values / np.repeat(np.add.reduceat(values, sets.start), sizes))


def _law(sets: CompetingSets, shares: FloatArray, size: int) -> FloatArray:
    weights = shares * np.repeat(sets.mass, sets.sizes())
    return np.bincount(sets.member, weights=weights, minlength=size).astype(np.float64)


def _value(sets: CompetingSets, theta: FloatArray, wanted: FloatArray) -> float:
    """Function (2), negative: what is minimised."""
    values = theta[sets.member]
    highest = np.maximum.reduceat(values, sets.start)
    values = np.exp(values - np.repeat(highest, sets.sizes()))
    sums = np.log(np.add.reduceat(values, sets.start)) + highest
    return float(sets.mass @ sums - wanted @ theta)


def _step(
    sets: CompetingSets, theta: FloatArray, shares: FloatArray, law: FloatArray, excess: FloatArray
) -> FloatArray:
    """One Newton step, shortened until the function falls."""
    direction = _direction(sets, shares, law, excess)
    direction *= min(1.0, LONGEST_STEP / max(float(np.abs(direction).max()), 1e-300))
    wanted = law - excess
    value, slope = _value(sets, theta, wanted), float(excess @ direction)
    length = 1.0
    # Near the end the function no longer changes in its last digit: there the step is taken whole.
    while slope < -1e-15 and length > 1e-6:
        if _value(sets, theta + length * direction, wanted) <= value + 1e-4 * length * slope:
            break
        length *= 0.5
    return np.asarray(theta + length * direction)


def _direction(
    sets: CompetingSets, shares: FloatArray, law: FloatArray, excess: FloatArray
) -> FloatArray:
    """-H^-1 times the gradient, H = diag(P) less the sum over sets of m(S) share share^T."""
    matrix = _second_moments(sets, shares, len(law))
    # Scaled by P, whose tokens span many decades. Only ratios of weights matter: the direction of a
    # common factor is pinned.
    scale = 1.0 / np.sqrt(np.maximum(law, np.finfo(np.float64).tiny))
    scaled = -matrix * scale[:, None] * scale[None, :]
    scaled[np.diag_indices(len(law))] += 1.0
    free = 1.0 / scale
    free /= np.sqrt(free @ free)
    scaled += free[:, None] * free[None, :]
    from scipy.linalg import LinAlgError, cho_factor, cho_solve  # here, as highspy

    try:
        found = cho_solve(cho_factor(scaled), -excess * scale)
    except LinAlgError:  # tokens that hardly compete with the others: singular up to rounding
        found, *_ = np.linalg.lstsq(scaled, -excess * scale, rcond=1e-15)
    return np.asarray(found * scale)


def _second_moments(sets: CompetingSets, shares: FloatArray, size: int) -> FloatArray:
    from scipy.sparse import csr_array  # here, as highspy in `lp_backends`

    rooted = shares * np.repeat(np.sqrt(sets.mass), sets.sizes())
    bounds = np.append(sets.start, len(sets.member))
    rows: Any = csr_array((rooted, sets.member, bounds), shape=(len(sets.mass), size))
    return np.asarray((rows.T @ rows).toarray())
