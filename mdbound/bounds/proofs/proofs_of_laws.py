"""What a certificate has to know of each draft law: F(H), and the least p(H) - F(H) of all sets.

Both are bounds that hold for the float64 distributions as they are given, in rational numbers or in
enclosures. A law of your own gets certificates by an entry in `PROOFS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mdbound.bounds.problem.array_types import BoolArray, FloatArray
from mdbound.bounds.proofs.ball_containment import BallContainment
from mdbound.bounds.proofs.certified_minimum import least_independent, least_without_replacement
from mdbound.bounds.proofs.exact_arithmetic import (
    Interval,
    exact_ratio_order,
    greedy_parts,
    least_greedy,
    least_of_chain,
    least_with_replacement,
    total,
    without_replacement_chain,
)


class LawProofs(NamedTuple):
    """The two proofs of a draft law.

    Attributes:
        containment: from drafts (1, V), or (n, V) where each draft has a distribution of its own,
            a set as a mask (V,) and n, to bounds on F(H), equal where F is rational.
        least: from p (V,), drafts, n and the value p(H) - F(H) of a set that is known, to a lower
            bound of that difference over all sets.
    """

    containment: Callable[[FloatArray, BoolArray, int], Interval]
    least: Callable[[FloatArray, FloatArray, int, Fraction], Fraction]


def _with_replacement_containment(
    drafts: FloatArray, inside: BoolArray, num_drafts: int
) -> Interval:
    exact = total(drafts[0][inside]) ** num_drafts
    return exact, exact


def _with_replacement_least(
    p: FloatArray, drafts: FloatArray, num_drafts: int, known: Fraction
) -> Fraction:
    del known  # all prefixes are looked at
    return least_with_replacement(p, drafts[0], num_drafts)


def _independent_containment(drafts: FloatArray, inside: BoolArray, num_drafts: int) -> Interval:
    del num_drafts  # as many as there are distributions
    exact = math.prod((total(q[inside]) for q in drafts), start=Fraction(1))
    return exact, exact


def _independent_least(
    p: FloatArray, drafts: FloatArray, num_drafts: int, known: Fraction
) -> Fraction:
    del num_drafts
    return least_independent(p, drafts, known)


def _greedy_containment(drafts: FloatArray, inside: BoolArray, num_drafts: int) -> Interval:
    q = drafts[0]
    top, rest = greedy_parts(q, num_drafts)
    if not inside[top].all():
        return Fraction(0), Fraction(0)
    if len(rest) == 0:
        return Fraction(1), Fraction(1)
    exact = total(q[rest[inside[rest]]]) / total(q[rest])
    return exact, exact


def _greedy_least(p: FloatArray, drafts: FloatArray, num_drafts: int, known: Fraction) -> Fraction:
    del known  # there is a closed form
    return least_greedy(p, drafts[0], num_drafts)


def _without_replacement_containment(
    drafts: FloatArray, inside: BoolArray, num_drafts: int
) -> Interval:
    q = drafts[0]
    held, left = np.flatnonzero(inside & (q > 0.0)), np.flatnonzero(~inside & (q > 0.0))
    rates, size = q[np.concatenate([held, left])], len(held)
    if _has_no_chain(q, num_drafts):
        return BallContainment(rates, num_drafts).enclose(slice(0, size))
    chain = without_replacement_chain(rates, num_drafts)
    return Fraction(chain.low[size], chain.unit), Fraction(chain.high[size], chain.unit)


def _without_replacement_least(
    p: FloatArray, drafts: FloatArray, num_drafts: int, known: Fraction
) -> Fraction:
    del known  # every range of prefixes is bounded on its own
    if _has_no_chain(drafts[0], num_drafts):
        return least_without_replacement(p, drafts[0], num_drafts)
    order = exact_ratio_order(p, drafts[0])
    chain = without_replacement_chain(drafts[0][order], num_drafts)
    return least_of_chain(p[order], chain)[0]


def _has_no_chain(draft: FloatArray, num_drafts: int) -> bool:
    """Whether F of prefixes has no closed form: n >= 3, and tokens are left undrafted."""
    return bool(3 <= num_drafts < np.count_nonzero(draft))


PROOFS: dict[str, LawProofs] = {
    "with_replacement": LawProofs(_with_replacement_containment, _with_replacement_least),
    "without_replacement": LawProofs(_without_replacement_containment, _without_replacement_least),
    "greedy": LawProofs(_greedy_containment, _greedy_least),
    "independent": LawProofs(_independent_containment, _independent_least),
}
"""The proofs by the name of the law."""
