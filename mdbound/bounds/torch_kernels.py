"""The draft laws' solvers as torch operations on whole batches, float64, on the rows' device.

Kernels take checked target and draft rows (B, V) and the largest n, and return a curve that
carries tensors. Sums are taken in two levels, blocks and then their totals, so that their rounding
is that of a few hundred additions in whatever order the device takes them, not of V.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import torch

from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF

Tensor: TypeAlias = torch.Tensor
Kernel: TypeAlias = Callable[[Tensor, Tensor, int], AcceptanceCurve]

BLOCK = 256
"""Entries that are summed one after the other, before the sums of blocks are."""


def _with_replacement(p: Tensor, q: Tensor, max_drafts: int) -> AcceptanceCurve:
    """Every prefix of the order q/p descending, with F = Q^n."""
    ranked = _Ranked(p, q)
    contained = torch.ones_like(ranked.q_mass)
    solved = []
    mass_error = _sum_error(p.shape[1])
    for n in range(1, max_drafts + 1):
        contained = contained * ranked.q_mass
        error = ((1.0 + n) * mass_error + 4.0 * n + 18.0) * UNIT_ROUNDOFF
        solved.append(ranked.minimum(contained, error))
    return _curve(solved)


def _without_replacement(p: Tensor, q: Tensor, max_drafts: int) -> AcceptanceCurve:
    """Every prefix of the order q/p descending, for one draft or two."""
    ranked = _Ranked(p, q)
    # Two sums that decide F_1, and for F_2 products of such sums, all of them at most 2.
    error = (12.0 * _sum_error(p.shape[1]) + 40.0) * UNIT_ROUNDOFF
    rates = ranked.q / ranked.q_mass[:, -1:]
    contained = [_prefix_sums(rates), _pairs_contained(rates)]
    all_tokens = ranked.tokens == ranked.tokens[:, -1:]
    solved = []
    for n in range(1, max_drafts + 1):
        # All that can be drafted holds all drafts, and fewer than n tokens never do.
        value = torch.where(ranked.tokens < n, 0.0, contained[n - 1])
        solved.append(ranked.minimum(torch.where(all_tokens, 1.0, value), error))
    return _curve(solved)


def _pairs_contained(rates: Tensor) -> Tensor:
    """F_2 of every prefix, with the heaviest token kept apart.

    F_2 = sum over i in H of q_i (Q - q_i) / (1 - q_i), Q = q(H). Written with prefix sums this
    cancels to nothing when one token has nearly all the mass; for that one Q - q_i and 1 - q_i
    are sums over the others.
    """
    heaviest = rates.argmax(dim=1, keepdim=True)
    others = rates.scatter(1, heaviest, 0.0)
    odds = others / (1.0 - others)
    pairs = _prefix_sums(rates) * _prefix_sums(odds) - _prefix_sums(others * odds)
    rest = _prefix_sums(others)
    share = torch.where(rest[:, -1:] > 0.0, rest / rest[:, -1:], 0.0)
    place = torch.arange(pairs.shape[1], device=rates.device)
    pairs += torch.where(place > heaviest, rates.gather(1, heaviest) * share, 0.0)
    return pairs.clamp(min=0.0)


def _greedy(p: Tensor, q: Tensor, max_drafts: int) -> AcceptanceCurve:
    """The n - 1 most likely draft tokens, and the minimum of target and draft on the rest."""
    # A stable sort, so that among equals the lower token id comes first.
    q, order = q.sort(dim=1, descending=True, stable=True)
    p = p.gather(1, order)
    drafted = q > 0.0
    error = (4.0 * _sum_error(p.shape[1]) + 16.0) * UNIT_ROUNDOFF
    solved = []
    for n in range(1, max_drafts + 1):
        top, p_rest, q_rest = drafted[:, : n - 1], p[:, n - 1 :], q[:, n - 1 :]
        p_top = _total(torch.where(top, p[:, : n - 1], 0.0))
        rest_mass = _total(q_rest)
        draw = torch.where(rest_mass > 0.0, q_rest / rest_mass, 0.0)
        value = p_top + _total(torch.minimum(p_rest, draw))
        short = (p_rest < draw) & drafted[:, n - 1 :]
        contained = torch.where(rest_mass > 0.0, _total(torch.where(short, draw, 0.0)), 1.0)
        size = top.sum(dim=1, keepdim=True) + short.sum(dim=1, keepdim=True)
        p_mass = p_top + _total(torch.where(short, p_rest, 0.0))
        q_mass = _total(q[:, : n - 1]) + contained * rest_mass
        # Where no token of the rest falls short, the empty set is as good, and smaller.
        empty = (rest_mass > 0.0) & ~short.any(dim=1, keepdim=True)
        masses = (torch.where(empty, 0, one) for one in (size, p_mass, q_mass, contained))
        solved.append((value, *masses, torch.full_like(value, error)))
    return _curve(solved)


class _Ranked:
    """Rows in the order q/p descending, with the masses of all prefixes, the empty one first.

    Attributes:
        q: draft, sorted, (B, V).
        p_mass: p of every prefix, (B, V + 1).
        q_mass: q of every prefix.
        tokens: tokens of every prefix that can be drafted.
    """

    def __init__(self, p: Tensor, q: Tensor) -> None:
        # p/q ascending is 0, not infinite, where the target is zero. Tokens of zero draft
        # probability sort last; they are no part of a prefix, so their target mass is not either.
        drafted = q > 0.0
        order = torch.where(drafted, p / q, torch.inf).argsort(dim=1, stable=True)
        self.q = q.gather(1, order)
        self.p_mass = _prefix_sums(torch.where(drafted, p, 0.0).gather(1, order))
        self.q_mass = _prefix_sums(self.q)
        counts = drafted.gather(1, order).cumsum(dim=1)
        self.tokens = torch.nn.functional.pad(counts, (1, 0))

    def minimum(self, contained: Tensor, error: float) -> tuple[Tensor, ...]:
        """The smallest p(H) - F(H) over the prefixes, as the columns of a curve at one n."""
        objective = self.p_mass - contained
        lowest = objective.amin(dim=1, keepdim=True)
        # The first prefix that is as good up to rounding, so that p = q gives the empty set.
        at = (objective <= lowest + error).int().argmax(dim=1, keepdim=True)
        chosen = (each.gather(1, at) for each in (self.tokens, self.p_mass, self.q_mass, contained))
        return (1.0 + lowest, *chosen, torch.full_like(lowest, error))


def _prefix_sums(values: Tensor) -> Tensor:
    """Sums of the first 0, 1, ..., V values of each row, to `_sum_error` of their total."""
    inside = _blocks(values).cumsum(dim=2)
    before = torch.nn.functional.pad(inside[:, :-1, -1].cumsum(dim=1), (1, 0))
    sums = (inside + before[:, :, None]).flatten(1)[:, : values.shape[1]]
    return torch.nn.functional.pad(sums, (1, 0))


def _total(values: Tensor) -> Tensor:
    """Sum of each row, (B, 1), to `_sum_error`."""
    return _blocks(values).sum(dim=2).sum(dim=1, keepdim=True)


def _blocks(values: Tensor) -> Tensor:
    """Rows (B, V) cut into (B, ceil(V / BLOCK), BLOCK), zeros at the end."""
    blocks = -(-values.shape[1] // BLOCK)
    padded = torch.nn.functional.pad(values, (0, blocks * BLOCK - values.shape[1]))
    return padded.reshape(len(values), blocks, BLOCK)


def _sum_error(vocab_size: int) -> float:
    """Rounding of a sum in two levels, in unit roundoffs of its total, in whatever order."""
    return float(min(BLOCK, vocab_size) + -(-vocab_size // BLOCK) + 2)


def as_curve(columns: Sequence[Tensor]) -> AcceptanceCurve:
    """A curve of the given tensors, in the order of its fields."""
    # The one result type of the package, annotated for arrays; here it carries tensors.
    return AcceptanceCurve(*cast("Sequence[Any]", columns))


def _curve(solved: Sequence[Sequence[Tensor]]) -> AcceptanceCurve:
    """Join what was solved for each n, columns (B, 1) in the order of the curve's fields."""
    return as_curve([torch.cat(list(column), dim=1) for column in zip(*solved, strict=True)])


KERNELS: dict[str, Kernel] = {
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,  # up to two drafts
    "greedy": _greedy,
}
"""What runs on the device, by the name of the law."""
