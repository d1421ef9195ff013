"""Small problems by sorting: p(H) - q(H)^n at every prefix of the order q/p, in numpy."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.laws.with_replacement.edges import SEARCH_TOLERANCE
from mdbound.bounds.numerics.ratio_order import ratio_orders
from mdbound.bounds.numerics.running_sums import running_sums
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings


def sorted_curve(target: FloatArray, draft: FloatArray, max_drafts: int) -> AcceptanceCurve:
    """Optimal acceptance for n = 1..max_drafts i.i.d. drafts, as `law.with_replacement_curve`.

    A prefix mass is right to 2 roundoffs, its power to 3 n, the rest are the final sums, tokens
    whose rounded ratios are out of order, and the tolerance within which the smaller set is taken.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> sorted_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    found, error = new_findings(len(target), max_drafts)
    order, support = ratio_orders(target, draft)
    p_mass = running_sums(np.take_along_axis(target, order, axis=1))
    q_mass = running_sums(np.take_along_axis(draft, order, axis=1))
    beyond = np.arange(p_mass.shape[1]) > support[:, None]
    rows = np.arange(len(target))
    for n in range(1, max_drafts + 1):
        objective = np.where(beyond, np.inf, p_mass - q_mass**n)
        least = objective.min(axis=1, keepdims=True)
        size = (objective <= least + SEARCH_TOLERANCE).argmax(axis=1)
        p, q = p_mass[rows, size], q_mass[rows, size]
        found[:, :, n - 1] = np.stack([1.0 + objective[rows, size], size, p, q, q**n], axis=1)
        error[:, n - 1] = (3.0 * n + 18.0) * UNIT_ROUNDOFF
    return AcceptanceCurve.of_findings(found, error)
