"""Drafts drawn i.i.d. from one distribution: F(H) = q(H)^n, minimised over prefixes.

Hu et al. 2025 (dual of the optimal-transport program); Khisti et al. 2025, Theorem 3 for n = 2
and Remark 2 for any n.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.draft_law import BoolArray, DraftLaw, optimal_prefix
from mdbound.bounds.ratio_order import ratio_order
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF, prefix_sums


class WithReplacement(DraftLaw):
    """n i.i.d. draws from q."""

    name = "with_replacement"

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `with_replacement_curve`."""
        del strict  # every checked row is solved
        return with_replacement_curve(target, draft, max_drafts)

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """The smallest optimal prefix of the order q/p descending."""
        curve = with_replacement_curve(target[None], draft[None], num_drafts)
        return optimal_prefix(target, draft, int(curve.subset_size[0, -1]))

    def containment(self, draft: FloatArray, subset: BoolArray, num_drafts: int) -> float:
        """q(H)^n."""
        return float(prefix_sums(draft[subset])[-1] ** num_drafts)


def with_replacement_curve(
    target: FloatArray, draft: FloatArray, max_drafts: int
) -> AcceptanceCurve:
    """Optimal acceptance for n = 1..max_drafts i.i.d. drafts, from one sort of the vocabulary.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> with_replacement_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    curve = AcceptanceCurve.empty(len(target), max_drafts)
    _solve_rows(
        target,
        draft,
        curve.acceptance,
        curve.subset_size,
        curve.target_mass,
        curve.draft_mass,
        curve.containment,
    )
    curve.error_bound[:] = error_bounds(max_drafts)
    return curve


def error_bounds(max_drafts: int) -> FloatArray:
    """Rounding error of alpha* for n = 1..max_drafts: (4 n + 10) unit roundoffs.

    The prefix masses carry one unit each, which the power n multiplies by n; n - 1 products,
    a subtraction and an addition round once each; sorting by rounded ratios is exact for a
    target changed by one unit per token, which moves the value by at most two.

    Example:
        >>> bool(error_bounds(8).max() < 1e-14)
        True
    """
    num_drafts = np.arange(1, max_drafts + 1, dtype=np.float64)
    return (4.0 * num_drafts + 10.0) * UNIT_ROUNDOFF


@njit(cache=True, parallel=True, nogil=True)
def _solve_rows(
    target: FloatArray,
    draft: FloatArray,
    acceptance: FloatArray,
    subset_size: npt.NDArray[np.int64],
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> None:
    for row in prange(len(target)):
        p = target[row]
        q = draft[row]
        order = ratio_order(p, q)
        p_prefix = prefix_sums(p[order])
        q_prefix = prefix_sums(q[order])
        power = np.ones(len(q_prefix))
        for n in range(acceptance.shape[1]):
            power *= q_prefix
            size = smallest_minimiser(p_prefix - power, error=2.0**-50)
            acceptance[row, n] = 1.0 + (p_prefix[size] - power[size])
            subset_size[row, n] = size
            target_mass[row, n] = p_prefix[size]
            draft_mass[row, n] = q_prefix[size]
            containment[row, n] = power[size]


@njit(cache=True, nogil=True)
def smallest_minimiser(objective: FloatArray, error: float) -> int:
    """First index whose value is the minimum up to rounding.

    Without the allowance, p = q would report a set that rounding noise picked.

    Example:
        >>> smallest_minimiser(np.array([0.0, -0.25, -0.25 - 1e-17]), 1e-15)
        1
    """
    threshold = objective.min() + error
    for i in range(len(objective)):
        if objective[i] <= threshold:
            return i
    return 0
