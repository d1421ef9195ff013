"""Rows in the order q/p descending and the masses of all prefixes, as torch operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch

from mdbound.bounds.device.sums import Tensor, prefix_sums
from mdbound.bounds.problem.solution import AcceptanceCurve

COLUMNS = (
    "acceptance",
    "subset_size",
    "target_mass",
    "draft_mass",
    "containment",
    "error_bound",
)
"""Fields of a curve, in the order in which kernels give them."""


class RankedRows:
    """Rows in the order q/p descending, with the masses of all prefixes, the empty one first.

    Args:
        p: target rows (B, V).
        q: draft rows (B, V).

    Attributes:
        q: draft, sorted, (B, V).
        ratio: p/q, sorted, infinite for tokens that are never drafted, (B, V).
        p_mass: p of every prefix, (B, V + 1).
        q_mass: q of every prefix.
        tokens: tokens of every prefix that can be drafted.

    Example:
        >>> RankedRows(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])).q_mass.tolist()
        [[0.0, 0.75, 1.0]]
    """

    def __init__(self, p: Tensor, q: Tensor) -> None:
        # p/q ascending is 0, not infinite, where the target is zero. Tokens of zero draft
        # probability sort last; they are no part of a prefix, so their target mass is not either.
        drafted = q > 0.0
        self.ratio, order = torch.where(drafted, p / q, torch.inf).sort(dim=1, stable=True)
        self.q = q.gather(1, order)
        self.p_mass = prefix_sums(torch.where(drafted, p, 0.0).gather(1, order))
        self.q_mass = prefix_sums(self.q)
        counts = drafted.gather(1, order).cumsum(dim=1)
        self.tokens = torch.nn.functional.pad(counts, (1, 0))

    def minimum(self, contained: Tensor, error: float) -> tuple[Tensor, ...]:
        """The smallest p(H) - F(H) over the prefixes, as the columns of a curve at one n.

        Args:
            contained: F of every prefix, (B, V + 1).
            error: rounding of an objective.
        """
        objective = self.p_mass - contained
        lowest = objective.amin(dim=1, keepdim=True)
        # The first prefix that is as good up to rounding, so that p = q gives the empty set.
        at = (objective <= lowest + error).int().argmax(dim=1, keepdim=True)
        chosen = (each.gather(1, at) for each in (self.tokens, self.p_mass, self.q_mass, contained))
        return (1.0 + lowest, *chosen, torch.full_like(lowest, error))


def as_curve(columns: Sequence[Tensor]) -> AcceptanceCurve:
    """A curve of the given tensors, one for each of `COLUMNS`.

    Example:
        >>> as_curve([torch.zeros(1, 2)] * 6).acceptance.shape
        torch.Size([1, 2])
    """
    # The one result type of the package, annotated for arrays; here it carries tensors.
    named: dict[str, Any] = dict(zip(COLUMNS, columns, strict=True))
    return AcceptanceCurve(**named)


def columns_of(curve: AcceptanceCurve) -> list[Tensor]:
    """The tensors of a curve, in the order of `COLUMNS`.

    Example:
        >>> len(columns_of(as_curve([torch.zeros(1, 2)] * 6)))
        6
    """
    return [cast(Tensor, getattr(curve, name)) for name in COLUMNS]


def join_drafts(solved: Sequence[Sequence[Tensor]]) -> AcceptanceCurve:
    """Join what was solved for some n after the other, in columns (B, count) by `COLUMNS`.

    Example:
        >>> join_drafts([[torch.zeros(1, 1)] * 6] * 3).acceptance.shape
        torch.Size([1, 3])
    """
    return as_curve([torch.cat(list(column), dim=1) for column in zip(*solved, strict=True)])


def join_rows(curves: Sequence[AcceptanceCurve]) -> AcceptanceCurve:
    """Join curves of some rows after the other.

    Example:
        >>> join_rows([as_curve([torch.zeros(1, 2)] * 6)] * 4).acceptance.shape
        torch.Size([4, 2])
    """
    return as_curve(
        [torch.cat(list(column)) for column in zip(*map(columns_of, curves), strict=True)]
    )
