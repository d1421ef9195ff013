"""Oracle of the draft laws: every tuple of drafts with its probability, from the law's definition.

Numbers may be floats or `fractions.Fraction`; sums that others subtract are never used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import Any

Number = Any  # Fraction or float
DraftLaw = dict[tuple[int, ...], Number]


def independent_law(drafts: Sequence[Sequence[Number]]) -> DraftLaw:
    """Draw k from its own distribution."""
    supports = [[x for x, mass in enumerate(q) if mass > 0] for q in drafts]
    return {
        drafted: math.prod((q[x] for q, x in zip(drafts, drafted, strict=True)), start=Fraction(1))
        for drafted in itertools.product(*supports)
    }


def with_replacement_law(draft: Sequence[Number], n: int) -> DraftLaw:
    return independent_law([draft] * n)


def without_replacement_law(draft: Sequence[Number], n: int) -> DraftLaw:
    """Each draw from what is left, renormalised; the whole support where n is above it."""
    support = [x for x, mass in enumerate(draft) if mass > 0]
    law: DraftLaw = {}
    for drafted in itertools.permutations(support, min(n, len(support))):
        probability = Fraction(1)
        for k, x in enumerate(drafted):
            left = [draft[y] for y in support if y not in drafted[:k]]
            probability = probability * draft[x] / total_of(left)
        law[drafted] = probability
    return law


def greedy_law(draft: Sequence[Number], n: int) -> DraftLaw:
    """The n - 1 most likely tokens, the lower id first among equals, then a draw from the rest."""
    ranked = sorted((x for x, m in enumerate(draft) if m > 0), key=lambda x: (-draft[x], x))
    top, rest = tuple(ranked[: n - 1]), ranked[n - 1 :]
    if not rest:
        return {top: Fraction(1)}
    mass = total_of([draft[x] for x in rest])
    return {(*top, x): draft[x] / mass for x in rest}


LAWS: dict[str, Callable[[Sequence[Sequence[Number]], int], DraftLaw]] = {
    "with_replacement": lambda drafts, n: with_replacement_law(drafts[0], n),
    "without_replacement": lambda drafts, n: without_replacement_law(drafts[0], n),
    "greedy": lambda drafts, n: greedy_law(drafts[0], n),
    "independent": lambda drafts, n: independent_law(drafts[:n]),
}


def tuple_law(drafts: Sequence[Sequence[Number]], n: int, sampling: str) -> DraftLaw:
    """The tuples of a law by its name, from one distribution or from n of them."""
    return LAWS[sampling](drafts, n)


def containment(law: DraftLaw, inside: Collection[int]) -> Number:
    """F(H): the probability that all drafted tokens are in H."""
    held = frozenset(inside)
    return total_of([weight for drafted, weight in law.items() if held.issuperset(drafted)])


def total_of(values: Sequence[Number]) -> Number:
    """Exact sum of fractions, and of floats the correctly rounded one."""
    if all(isinstance(value, Fraction | int) for value in values):
        return sum(values, Fraction(0))
    return math.fsum(values)
