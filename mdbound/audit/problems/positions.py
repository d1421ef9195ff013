"""Problems of one position: small rows on which wrong rules show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.trees.drafting.node_draws import most_likely, node_law

Row: TypeAlias = tuple[Fraction, ...]

HUB_PAIRS = "hub_pairs"
"""The drafts of SpecHub: the most likely token and another one, in either order."""

INDEPENDENT = "independent"

SAMPLINGS = ("with_replacement", "without_replacement", "greedy", INDEPENDENT, HUB_PAIRS)
"""Draft laws of one position that a rule can be audited for."""


@dataclass(frozen=True)
class PositionProblem:
    """A target, a draft for each drafted token, and how they are drawn.

    Attributes:
        name: what is special about it.
        target: p, shape (V,).
        drafts: a row for each drafted token; equal rows but for `"independent"`.
        sampling: one of `SAMPLINGS`.

    Example:
        >>> half = (Fraction(1, 2), Fraction(1, 2))
        >>> problem = PositionProblem("halves", half, (half, half), "without_replacement")
        >>> [drafted for drafted, _ in problem.lists], str(problem.bound)
        ([(0, 1), (1, 0)], '1')
    """

    name: str
    target: Row
    drafts: tuple[Row, ...]
    sampling: str

    @cached_property
    def lists(self) -> tuple[tuple[tuple[int, ...], Fraction], ...]:
        """Every list of drafted tokens of positive probability, with it."""
        return tuple((drafted, Fraction(mass)) for drafted, mass in self._all_lists() if mass > 0)

    def _all_lists(self) -> Iterator[tuple[tuple[int, ...], Fraction | float]]:
        if self.sampling == HUB_PAIRS:
            return _hub_pairs(self.drafts[0])
        drawn = "with_replacement" if self.sampling == INDEPENDENT else self.sampling
        return node_law(drawn).lists(self.drafts)

    @property
    def bound(self) -> Fraction:
        """The largest P(output is drafted) of a lossless rule: 1 + min over H of p(H) - F(H).

        Source: Hu et al. 2025, from the dual of the transport program; here over all sets H.
        """
        best = Fraction(1)
        for size in range(1, len(self.target) + 1):
            for chosen in map(frozenset, itertools.combinations(range(len(self.target)), size)):
                inside = sum(
                    (m for drafted, m in self.lists if chosen.issuperset(drafted)), Fraction(0)
                )

                best = min(best, 1 + sum(self.target[token] for token in chosen) - inside)
        return best


def _hub_pairs(draft: Row) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    (hub,) = most_likely(draft, 1)
    others = [token for token, mass in enumerate(draft) if token != hub and mass > 0]
    left = 1 - draft[hub]
    for token in others:
        yield (token, hub), draft[token]
        yield (hub, token), draft[hub] * draft[token] / left
    if not others:
        raise InvalidSettingError("a draft that is a point mass has no pairs: leave it out")


#: Weights of target and draft; what is special about them. Sums are powers of two, so that floats
#: hold the rows exactly.
_ROWS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "rows that cross": ((8, 5, 3), (3, 8, 5)),
    "rows far apart": ((12, 3, 1), (1, 3, 12)),
    "four tokens": ((7, 5, 3, 1), (2, 2, 6, 6)),
    "ties in the ratio": ((4, 4, 4, 4), (6, 6, 2, 2)),
    "all tied, p = q": ((8, 5, 3), (8, 5, 3)),
    "p almost q": ((341, 342, 341), (342, 341, 341)),
    "a token that only the draft has": ((0, 10, 6), (8, 4, 4)),
    "a token that only the target has": ((4, 4, 8), (12, 4, 0)),
    "nothing in common": ((0, 0, 5, 11), (9, 7, 0, 0)),
    "point-mass draft": ((8, 6, 2), (16, 0, 0)),
    "point-mass target": ((0, 16, 0), (5, 8, 3)),
    "repeats are likely": ((6, 5, 5), (14, 1, 1)),
    "two tokens to draft": ((5, 6, 5), (4, 12, 0)),
    "five tokens": ((5, 1, 4, 2, 4), (1, 6, 2, 5, 2)),
}


def position_problems(
    num_drafts: int, sampling: str = "with_replacement"
) -> tuple[PositionProblem, ...]:
    """The battery of one position.

    Args:
        num_drafts: n; the lists of n tokens are all enumerated.
        sampling: one of `SAMPLINGS`; for `"independent"` draft k has the row's tokens moved by k.

    Raises:
        InvalidSettingError: an unknown law, fewer than 1 or more than 4 drafts (625 lists), or
            pairs with another number than 2.

    Example:
        >>> problems = position_problems(2)
        >>> len(problems), problems[0].name, str(problems[0].bound)
        (14, 'rows that cross', '215/256')
    """
    refuse_unknown([sampling], SAMPLINGS, "`sampling`")
    if isinstance(num_drafts, bool) or not isinstance(num_drafts, int) or not 1 <= num_drafts <= 4:
        raise InvalidSettingError(f"`num_drafts` {num_drafts!r}: give 1 to 4")
    if sampling == HUB_PAIRS and num_drafts != 2:
        raise InvalidSettingError(f"`num_drafts` {num_drafts}: {HUB_PAIRS} are 2")
    made = (
        PositionProblem(name, _row(target), _drafts(_row(draft), num_drafts, sampling), sampling)
        for name, (target, draft) in _ROWS.items()
    )
    return tuple(each for each in made if sampling != HUB_PAIRS or max(each.drafts[0]) < 1)


def _row(weights: Sequence[int]) -> Row:
    return tuple(Fraction(weight, sum(weights)) for weight in weights)


def _drafts(row: Row, num_drafts: int, sampling: str) -> tuple[Row, ...]:
    moves = range(num_drafts) if sampling == INDEPENDENT else [0] * num_drafts
    return tuple(row[move % len(row) :] + row[: move % len(row)] for move in moves)
