"""Greedy drafts as torch operations: the n - 1 most likely draft tokens, then one draw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from mdbound.bounds.device.prefixes import join_drafts
from mdbound.bounds.device.sums import Tensor, total, total_error
from mdbound.bounds.numerics.fused_softmax import mass_error
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT
from mdbound.bounds.problem.solution import AcceptanceCurve


def greedy(p: Tensor, drafts: Sequence[Tensor], max_drafts: int) -> AcceptanceCurve:
    """Acceptance of checked rows: the minimum of target and draw outside the likeliest tokens.

    Args:
        p: target rows (B, V), float64.
        drafts: the draft rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
        >>> q = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
        >>> greedy(p, [q], 3).acceptance.round(decimals=6).tolist()
        [[0.7, 0.9, 1.0]]
    """
    # A stable sort, so that among equals the lower token id comes first.
    q, order = drafts[0].sort(dim=1, descending=True, stable=True)
    p = p.gather(1, order)
    drafted = q > 0.0
    error = (4.0 * total_error(p.shape[1]) + 16.0) * UNIT_ROUNDOFF
    solved = []
    for n in range(1, max_drafts + 1):
        top, p_rest, q_rest = drafted[:, : n - 1], p[:, n - 1 :], q[:, n - 1 :]
        p_top = total(p[:, : n - 1] * top)
        rest_mass = total(q_rest)
        draw = q_rest / torch.where(rest_mass > 0.0, rest_mass, 1.0)
        value = p_top + total(torch.minimum(p_rest, draw))
        short = (p_rest < draw) & drafted[:, n - 1 :]
        contained = torch.where(rest_mass > 0.0, total(draw * short), 1.0)
        size = top.sum(dim=1, keepdim=True) + short.sum(dim=1, keepdim=True)
        p_mass = p_top + total(p_rest * short)
        q_mass = total(q[:, : n - 1]) + contained * rest_mass
        # Where no token of the rest falls short, the empty set is as good, and smaller.
        # So is it where p sums to more than 1, by as much as a row may.
        above = value > 1.0 + error
        empty = ((rest_mass > 0.0) & ~short.any(dim=1, keepdim=True)) | above
        masses = (torch.where(empty, 0, one) for one in (size, p_mass, q_mass, contained))
        value = torch.where(above, 1.0, value)
        solved.append((value, *masses, torch.full_like(value, error)))
    return join_drafts(solved)


def softmax_error(drafts: Sequence[Tensor], max_drafts: int) -> Tensor:
    """Rounding of probabilities from logits, as in `laws.greedy.law`, (1, N).

    Example:
        >>> softmax_error([torch.zeros(1, 100)], 2).shape
        torch.Size([1, 2])
    """
    vocab_size = drafts[0].shape[1]
    of_draw = 10.0 + 3.0 * (2.0 * math.log(vocab_size) - SMALLEST_EXPONENT)
    error = (mass_error(vocab_size) + of_draw) * UNIT_ROUNDOFF
    return torch.full((1, max_drafts), error, dtype=torch.float64, device=drafts[0].device)
