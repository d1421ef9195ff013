"""Drafts with replacement as torch operations: every prefix of the order q/p descending."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mdbound.bounds.device.prefixes import RankedRows, join_drafts
from mdbound.bounds.device.sums import Tensor, prefix_error
from mdbound.bounds.numerics.fused_softmax import mass_error
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.problem.solution import AcceptanceCurve


def with_replacement(p: Tensor, drafts: Sequence[Tensor], max_drafts: int) -> AcceptanceCurve:
    """Acceptance of checked rows for n = 1..max_drafts i.i.d. drafts: F = q(H)^n.

    Args:
        p: target rows (B, V), float64.
        drafts: the draft rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
        >>> q = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
        >>> with_replacement(p, [q], 3).acceptance.round(decimals=6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    ranked = RankedRows(p, drafts[0])
    contained = torch.ones_like(ranked.q_mass)
    solved = []
    mass = prefix_error(p.shape[1])
    for n in range(1, max_drafts + 1):
        contained = contained * ranked.q_mass
        error = ((1.0 + n) * mass + 4.0 * n + 18.0) * UNIT_ROUNDOFF
        solved.append(ranked.minimum(contained, error))
    return join_drafts(solved)


def softmax_error(drafts: Sequence[Tensor], max_drafts: int) -> Tensor:
    """Rounding of probabilities from logits, in p(H) and n times in q(H)^n, (1, N).

    Example:
        >>> softmax_error([torch.zeros(1, 100)], 2).shape
        torch.Size([1, 2])
    """
    masses = torch.arange(2, max_drafts + 2, dtype=torch.float64, device=drafts[0].device)
    return masses[None] * (mass_error(drafts[0].shape[1]) * UNIT_ROUNDOFF)
