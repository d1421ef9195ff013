"""Small problems by sorting: p(H) - F_n(H) at every prefix of the order q/p, in numpy.

By the integral of `numerics.clock_quadrature`, whose nodes all prefixes share. With o_i = e^(q_i t)
- 1 the law of the clocks of H that rang by t is

    P(N_t = m) = e^(-q(H) t) e_m(o),    e_m the elementary symmetric polynomial,

so a token adds o_i e_(m-1) to e_m: sums of positive terms, kept with what they lose to rounding.
A clock with q_i t above `CERTAIN` counts as one that rang.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.clock_quadrature import ClockQuadrature, clock_quadrature
from mdbound.bounds.numerics.ratio_order import ratio_orders
from mdbound.bounds.numerics.running_sums import running_sums
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.numerics.tolerances import INTEGRAL_ERROR, SAME_OBJECTIVE
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings

CERTAIN = 40.0
"""e^-40 = 4e-18. Larger, and polynomials of eight drafts overflow sooner; smaller, and what is
neglected comes close to rounding."""

_FIRST_NODES, _MORE_NODES = 48, 8
_VANISHED = 45.0  # e^-45 = 3e-20


def sorted_curve(target: FloatArray, draft: FloatArray, max_drafts: int) -> AcceptanceCurve:
    """Optimal acceptance for n = 1..max_drafts draws, as `law.without_replacement_curve`.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, from 1 to `small_problems.SMALL_DRAFTS`.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> sorted_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.985714, 1.0]]
    """
    found, error = new_findings(len(target), max_drafts)
    order, support = ratio_orders(target, draft)
    p_mass = running_sums(np.take_along_axis(target, order, axis=1))
    rates = np.take_along_axis(draft, order, axis=1)
    rates /= running_sums(rates)[:, -1:]
    outside = running_sums(rates[:, ::-1])[:, ::-1]
    contained = _containments(rates, outside, support, max_drafts)
    beyond = np.arange(p_mass.shape[1]) > support[:, None]
    rows = np.arange(len(target))
    for n in range(1, max_drafts + 1):
        objective = np.where(beyond, np.inf, p_mass - contained[n - 1])
        least = objective.min(axis=1, keepdims=True)
        size = (objective <= least + SAME_OBJECTIVE).argmax(axis=1)
        found[:, 0, n - 1] = 1.0 + objective[rows, size]
        found[:, 1, n - 1] = size
        found[:, 2, n - 1] = p_mass[rows, size]
        found[:, 3, n - 1] = 1.0 - outside[rows, size]
        found[:, 4, n - 1] = contained[n - 1, rows, size]
    # The value at the prefix found, and those that were compared with it.
    error[:] = 3.0 * INTEGRAL_ERROR + SAME_OBJECTIVE + 16.0 * UNIT_ROUNDOFF
    return AcceptanceCurve.of_findings(found, error)


def _containments(
    rates: FloatArray, outside: FloatArray, support: IntArray, max_drafts: int
) -> FloatArray:
    """F_n of every prefix, shape (N, B, V + 1)."""
    rule = clock_quadrature(max_drafts)
    times, weights = _nodes(rule, rates)
    rung = RungClocks(len(rates), max_drafts, times)
    contained = np.zeros((max_drafts, *outside.shape))
    for size in range(1, outside.shape[1]):
        rung.add(rates[:, size - 1])
        left = outside[:, size, None]
        decay = np.exp(-(rung.light + left * times)) * (weights * left)
        missed = np.einsum("nbj,bj->nb", rung.fewer_than(), decay)
        # Before the first node nothing has rung, but for what W t says of the rest.
        early = left[:, 0] * (rule.early - left[:, 0] * rule.early_time)
        contained[:, :, size] = 1.0 - missed - early
    contained[0] = 1.0 - outside
    sizes = np.arange(outside.shape[1])
    for n in range(2, max_drafts + 1):
        contained[n - 1][:, sizes < n] = 0.0
    contained[:, sizes[None] == support[:, None]] = 1.0  # whatever n, also above the support
    return contained


def _nodes(rule: ClockQuadrature, rates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes up to where all that remains is negligible for every row, see `ring_law.ring_nodes`."""
    smallest = np.where(rates > 0.0, rates, np.inf).min(axis=1)
    count = min(_FIRST_NODES, len(rule.times))
    while count + _MORE_NODES <= len(rule.times):
        last = rule.times[count - 1]
        # 1 - e^-x is at least 0.632 min(x, 1).
        expected = 0.632 * np.minimum(rates * last, 1.0).sum(axis=1)
        if ((last * smallest >= _VANISHED) | (expected >= rule.rung_needed)).all():
            break
        count += _MORE_NODES
    return rule.times[:count], rule.weights[:count]


class RungClocks:
    """The law of how many clocks of a growing prefix rang by each node's time."""

    def __init__(self, rows: int, max_drafts: int, times: FloatArray) -> None:
        """No clock so far."""
        self._times = times
        self._light = np.zeros((rows, len(times)))
        self._light_lost = np.zeros_like(self._light)
        self._sums = np.zeros((max_drafts, rows, len(times)))  # e_0, ..., e_(N-1)
        self._sums[0] = 1.0
        self._lost = np.zeros_like(self._sums)

    def add(self, rates: FloatArray) -> None:
        """A clock more in each row.

        Args:
            rates: shape (B,); 0 adds none.
        """
        argument = rates[:, None] * self._times
        certain = argument > CERTAIN
        odds = np.expm1(np.minimum(argument, CERTAIN))
        term = odds * (self._sums[:-1] + self._lost[:-1])
        sums, lost = _add(self._sums[1:], self._lost[1:], term)
        light, light_lost = _add(self._light, self._light_lost, argument)
        if certain.any():
            # One more rang, for sure: what was known of m is known of m + 1.
            sums = np.where(certain, self._sums[:-1], sums)
            lost = np.where(certain, self._lost[:-1], lost)
            self._sums[0, certain] = self._lost[0, certain] = 0.0
            light = np.where(certain, self._light, light)
            light_lost = np.where(certain, self._light_lost, light_lost)
        self._sums[1:], self._lost[1:] = sums, lost
        self._light, self._light_lost = light, light_lost

    @property
    def light(self) -> FloatArray:
        """Sum of q_i t over the clocks that are not certain, shape (B, J)."""
        return self._light + self._light_lost

    def fewer_than(self) -> FloatArray:
        """P(N_t < n) e^(`light`) for n = 1..N, shape (N, B, J)."""
        return np.cumsum(self._sums + self._lost, axis=0)


def _add(sums: FloatArray, lost: FloatArray, terms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums with the terms added, and what rounding has lost of them so far."""
    total = sums + terms
    of_terms = total - sums
    return total, lost + ((sums - (total - of_terms)) + (terms - of_terms))
