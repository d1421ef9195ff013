"""Small problems of the greedy construction: its closed form for each n, in numpy."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.laws.greedy.rounding import SUM_ERROR, TIE
from mdbound.bounds.problem.array_types import BoolArray, FloatArray
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings


def sorted_curve(target: FloatArray, draft: FloatArray, max_drafts: int) -> AcceptanceCurve:
    """Optimal acceptance of the greedy construction for n = 1..max_drafts, as `law.greedy_curve`.

    Sums are numpy's pairwise ones, of fewer roundings than `SUM_ERROR` allows.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> sorted_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.9, 1.0]]
    """
    found, error = new_findings(len(target), max_drafts)
    rank = np.argsort(np.argsort(-draft, axis=1, kind="stable"), axis=1)
    for n in range(1, max_drafts + 1):
        found[:, :, n - 1] = _findings(target, draft, (rank < n - 1) & (draft > 0.0))
    error[:] = SUM_ERROR
    return AcceptanceCurve.of_findings(found, error)


def _findings(p: FloatArray, q: FloatArray, top: BoolArray) -> FloatArray:
    """Acceptance, size, p(H), q(H) and h(H) of each row, with the mask of its certain drafts."""
    rest = np.where(top, 0.0, q)
    rest_mass = rest.sum(axis=1)
    draws = rest_mass > 0.0
    scale = np.divide(1.0 - TIE, rest_mass, out=np.zeros_like(rest_mass), where=draws)
    below = ~top & (p < rest * scale[:, None])
    outside = np.where(below, 0.0, rest).sum(axis=1)
    h_out = np.divide(outside, rest_mass, out=np.zeros_like(rest_mass), where=draws)
    inside = below | top
    p_in = np.where(inside, p, 0.0).sum(axis=1)
    q_in = np.where(top, q, 0.0).sum(axis=1) + (1.0 - h_out) * rest_mass
    acceptance = p_in + h_out
    found = np.stack([acceptance, inside.sum(axis=1), p_in, q_in, 1.0 - h_out], axis=1)
    # Where no token of the rest is in deficit the empty set is as good, and smaller.
    found[draws & ~below.any(axis=1), 1:] = 0.0
    # p may sum to more than 1, by as much as a row may.
    found[acceptance > 1.0 + SUM_ERROR] = [1.0, 0.0, 0.0, 0.0, 0.0]
    return found
