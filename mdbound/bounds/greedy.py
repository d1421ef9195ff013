"""The greedy construction of Hu et al. 2025: n - 1 most likely draft tokens and one draw.

With Top the n - 1 most likely tokens and h = q restricted to the rest and renormalised, all
drafts lie in H iff Top is in H and the draw is, so F(H) = h(H) for H containing Top, else 0, and

    alpha* = p(Top) + sum over the rest of min(p, h).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.draft_law import BoolArray, DraftLaw
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF, prefix_sums

IntArray = npt.NDArray[np.int64]


class Greedy(DraftLaw):
    """The n - 1 most likely draft tokens, and one draw from the rest."""

    name = "greedy"

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `greedy_curve`."""
        del strict  # every checked row is solved
        return greedy_curve(target, draft, max_drafts)

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """Top and the tokens of the rest with p < h; empty if there are none of these."""
        top = most_likely_tokens(draft, num_drafts - 1)
        rest = draft.copy()
        rest[top] = 0.0
        rest_mass = prefix_sums(rest)[-1]
        mask: BoolArray = np.zeros(len(draft), dtype=np.bool_)
        if rest_mass > 0.0:
            mask = (rest > 0.0) & (target < rest / rest_mass)
            if not mask.any():
                return mask
        mask[top] = True
        return mask

    def containment(self, draft: FloatArray, subset: BoolArray, num_drafts: int) -> float:
        """h(H) for H containing Top, else 0; 1 when there is no draw left."""
        top = most_likely_tokens(draft, num_drafts - 1)
        if not subset[top].all():
            return 0.0
        rest = draft.copy()
        rest[top] = 0.0
        rest_mass = prefix_sums(rest)[-1]
        return float(prefix_sums(rest[subset])[-1] / rest_mass) if rest_mass > 0.0 else 1.0


def greedy_curve(target: FloatArray, draft: FloatArray, max_drafts: int) -> AcceptanceCurve:
    """Optimal acceptance of the greedy construction for n = 1..max_drafts.

    Only tokens of positive draft probability are drafted; ties go to the lower token id. When
    fewer than n tokens can be drafted, they are all drafted and there is no draw.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> greedy_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.9, 1.0]]
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
    # Three compensated sums, the division by the rest's mass, one minimum per token.
    curve.error_bound[:] = 16.0 * UNIT_ROUNDOFF
    return curve


@njit(cache=True, nogil=True)
def most_likely_tokens(draft: FloatArray, count: int) -> IntArray:
    """Ids of the `count` most likely tokens of positive probability, most likely first.

    Ties go to the lower token id. Fewer come back when the support is smaller.

    Example:
        >>> most_likely_tokens(np.array([0.25, 0.0, 0.5, 0.25]), 2).tolist()
        [2, 0]
    """
    top = np.empty(count, dtype=np.int64)
    found = 0
    for token in range(len(draft)):
        mass = draft[token]
        if mass <= 0.0 or (found == count and (count == 0 or mass <= draft[top[found - 1]])):
            continue
        place = found if found < count else count - 1
        while place > 0 and draft[top[place - 1]] < mass:
            top[place] = top[place - 1]
            place -= 1
        top[place] = token
        found = min(found + 1, count)
    return top[:found]


@njit(cache=True, parallel=True, nogil=True)
def _solve_rows(
    target: FloatArray,
    draft: FloatArray,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> None:
    max_drafts = acceptance.shape[1]
    for row in prange(len(target)):
        p = target[row]
        q = draft[row]
        rest_of_draft = q.copy()
        tops = most_likely_tokens(q, max_drafts - 1)
        for n in range(max_drafts):
            if 0 < n <= len(tops):
                rest_of_draft[tops[n - 1]] = 0.0
            solved = _solve_row(p, q, rest_of_draft, tops[: min(n, len(tops))])
            acceptance[row, n] = solved[0]
            subset_size[row, n] = int(solved[1])
            target_mass[row, n] = solved[2]
            draft_mass[row, n] = solved[3]
            containment[row, n] = solved[4]


@njit(cache=True, nogil=True)
def _solve_row(
    p: FloatArray, q: FloatArray, rest_of_draft: FloatArray, top: IntArray
) -> tuple[float, float, float, float, float]:
    rest_mass = prefix_sums(rest_of_draft)[-1]
    p_top = prefix_sums(p[top])[-1]
    q_top = prefix_sums(q[top])[-1]
    kept = np.zeros(len(p))
    p_in = np.zeros(len(p))
    h_in = np.zeros(len(p))
    size = len(top)
    for token in range(len(p)):
        mass = rest_of_draft[token]
        if mass <= 0.0:
            continue
        drawn = mass / rest_mass
        kept[token] = min(p[token], drawn)
        if p[token] < drawn:
            size += 1
            p_in[token] = p[token]
            h_in[token] = drawn
    value = p_top + prefix_sums(kept)[-1]
    p_rest = prefix_sums(p_in)[-1]
    h_rest = prefix_sums(h_in)[-1] if rest_mass > 0.0 else 1.0
    if size == len(top) and rest_mass > 0.0:
        # No token of the rest is in deficit: the empty set is as good, and smaller.
        return value, 0.0, 0.0, 0.0, 0.0
    return value, float(size), p_top + p_rest, q_top + h_rest * rest_mass, h_rest
