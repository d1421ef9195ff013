"""Exact optimal acceptance of float64 distributions, by integers over a common power of two.

Every float64 is an integer times a power of two, so masses of token sets are exact integer sums and
q(H)^n is an exact integer power. Draws without replacement divide by 1 - q_i, which no common
denominator survives: there, integers hold numbers rounded down at 2^-320 and errors are counted.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray, IntArray

Interval = tuple[Fraction, Fraction]

FIXED_POINT_BITS = 320
"""Bits behind the point of what no power of two divides: bounds are within V times 2^-320, below
1e-90, and the integers five times as long as a mantissa."""

SCREENING = 1e-12
"""Prefixes whose rounded value is further than this above the least are not the exact least: the
rounded values are of exact masses, and off by a few n ulps. Wider costs exact comparisons, nearer
to the rounding could lose the least."""


def dyadic(values: FloatArray) -> tuple[list[int], int]:
    """Integers m and an exponent e with values[i] = m[i] * 2^-e exactly.

    Args:
        values: finite and at least 0.

    Example:
        >>> dyadic(np.array([0.5, 0.0, 0.75]))
        ([2, 0, 3], 2)
    """
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    shift = exponent.astype(np.int64) - 53
    occupied = whole != 0
    if not occupied.any():
        return [0] * len(values), 0
    # Trailing zeros of the mantissas keep the integers short.
    trailing = np.log2((whole[occupied] & -whole[occupied]).astype(np.float64)).astype(np.int64)
    lowest = int((shift[occupied] + trailing).min())
    lift = np.where(occupied, shift - lowest, 0)
    return [
        m << s if s >= 0 else m >> -s for m, s in zip(whole.tolist(), lift.tolist(), strict=True)
    ], -lowest


def total(values: FloatArray) -> Fraction:
    """Exact sum.

    Example:
        >>> total(np.array([0.1, 0.2])) == Fraction(0.1) + Fraction(0.2)
        True
    """
    whole, exponent = dyadic(values)
    return Fraction(sum(whole)) / Fraction(2) ** exponent


def exact_ratio_order(target: FloatArray, draft: FloatArray) -> IntArray:
    """Tokens that can be drafted by p/q ascending, compared exactly; ties in any order.

    Example:
        >>> exact_ratio_order(np.array([0.5, 0.0, 0.5]), np.array([0.25, 0.5, 0.25])).tolist()
        [1, 0, 2]
    """
    support = np.flatnonzero(draft > 0.0)
    with np.errstate(over="ignore"):
        ratio = target[support] / draft[support]
    order = support[np.argsort(ratio, kind="stable")]
    ratio = np.sort(ratio)
    # A rounded quotient is off by half an ulp (or, below the normal range, by 2^-1074).
    close = ratio[1:] <= ratio[:-1] * (1.0 + 2.0**-51) + 2.0**-1073
    close |= ~np.isfinite(ratio[1:])
    edges = np.flatnonzero(np.diff(close.astype(np.int8), prepend=0, append=0))
    for start, end in edges.reshape(-1, 2).tolist():
        tied = order[start : end + 1].tolist()
        tied.sort(key=lambda token: Fraction(float(target[token])) / Fraction(float(draft[token])))
        order[start : end + 1] = tied
    return np.asarray(order)


def least_with_replacement(target: FloatArray, draft: FloatArray, num_drafts: int) -> Fraction:
    """Least p(H) - q(H)^n over all subsets H of the vocabulary.

    Let P(x) be the least target mass of a fractional set of draft mass x: linear between prefixes
    of the exact ratio order, and a lower bound of p(H) for q(H) = x. On each piece P(x) - x^n is
    concave, so its least value is at a prefix, and prefixes are sets.

    Example:
        >>> least_with_replacement(np.array([0.5, 0.5]), np.array([0.25, 0.75]), 2)
        Fraction(-1, 16)
    """
    order = exact_ratio_order(target, draft)
    p, p_exponent = dyadic(target[order])
    q, q_exponent = dyadic(draft[order])
    p_prefix = list(itertools.accumulate(p, initial=0))
    q_prefix = list(itertools.accumulate(q, initial=0))
    p_unit, q_unit = 1 << p_exponent, 1 << q_exponent
    rounded = np.array([m / p_unit for m in p_prefix])
    rounded -= np.array([m / q_unit for m in q_prefix]) ** num_drafts
    candidates = np.flatnonzero(rounded <= rounded.min() + SCREENING * num_drafts)
    # Compared on one scale: p / 2^e  -  q^n / 2^(n f).
    p_lift, q_lift = 1 << (num_drafts * q_exponent), 1 << p_exponent
    least = min(
        p_prefix[k] * p_lift - q_prefix[k] ** num_drafts * q_lift for k in candidates.tolist()
    )
    return Fraction(least, p_lift * q_lift)


def least_greedy(target: FloatArray, draft: FloatArray, num_drafts: int) -> Fraction:
    """Least p(H) - F(H) for the greedy law: 0, or p(Top) - sum over the rest of (h - p)+.

    Example:
        >>> least_greedy(np.array([0.25, 0.75]), np.array([0.5, 0.5]), 1)
        Fraction(-1, 4)
    """
    top, rest = greedy_parts(draft, num_drafts)
    if len(rest) == 0:
        return min(Fraction(0), total(target[top]) - 1)
    p, p_exponent = dyadic(target[rest])
    q, _ = dyadic(draft[rest])
    mass, p_unit = sum(q), 1 << p_exponent
    over = sum(max(b * p_unit - a * mass, 0) for a, b in zip(p, q, strict=True))
    return min(Fraction(0), total(target[top]) - Fraction(over, mass * p_unit))


def greedy_parts(draft: FloatArray, num_drafts: int) -> tuple[IntArray, IntArray]:
    """The certain drafts of the greedy law, and the tokens its one draw can be.

    Example:
        >>> [part.tolist() for part in greedy_parts(np.array([0.5, 0.2, 0.3]), 2)]
        [[0], [1, 2]]
    """
    # A stable sort leaves the lower id first among equals. Not the solver's selection, on purpose.
    top = np.argsort(-draft, kind="stable")[: num_drafts - 1]
    top = top[draft[top] > 0.0]
    rest = draft.copy()
    rest[top] = 0.0
    return top, np.flatnonzero(rest)


class ContainmentChain(NamedTuple):
    """Bounds on F of every prefix over one denominator: low / unit <= F <= high / unit."""

    low: list[int]
    high: list[int]
    unit: int


def without_replacement_chain(draft: FloatArray, num_drafts: int) -> ContainmentChain:
    """Bounds on F_n of every prefix for n = 1, 2, or n at or above the number of tokens.

    F_1 = q(H) / q(all). F_2 = (Q A - B) / q(all) with Q = q(H), A and B the sums over H of
    q_i / (q(all) - q_i) and q_i^2 / (q(all) - q_i).

    Args:
        draft: q of the tokens in order, all positive, shape (m,).
        num_drafts: n.

    Example:
        >>> chain = without_replacement_chain(np.array([0.5, 0.25, 0.25]), 2)
        >>> [round(low / chain.unit, 9) for low in chain.low]
        [0.0, 0.0, 0.416666667, 1.0]
    """
    size = len(draft)
    if num_drafts >= size:
        certain = [0] * size + [1]
        return ContainmentChain(certain, certain, 1)
    q, _ = dyadic(draft)
    mass = sum(q)
    prefix = list(itertools.accumulate(q, initial=0))
    if num_drafts == 1:
        return ContainmentChain(prefix, prefix, mass)
    unit = 1 << FIXED_POINT_BITS
    odds = itertools.accumulate((m * unit // (mass - m) for m in q), initial=0)
    squares = itertools.accumulate((m * m * unit // (mass - m) for m in q), initial=0)
    chain = list(enumerate(zip(prefix, odds, squares, strict=True)))
    # Each rounded term is short by less than one unit: k of them, and Q times k of them.
    return ContainmentChain(
        [max(total * a - b - k, 0) for k, (total, a, b) in chain],
        [total * (a + k) - b for k, (total, a, b) in chain],
        mass * unit,
    )


def least_of_chain(target: FloatArray, chain: ContainmentChain) -> Interval:
    """Bounds on the least P_k - F_k, for the prefixes of tokens in exact ratio order.

    Args:
        target: p of the tokens in order, shape (m,).
        chain: bounds on F_k, k = 0..m.

    Example:
        >>> least_of_chain(np.array([0.5]), ContainmentChain([0, 1], [0, 1], 1))
        (Fraction(-1, 2), Fraction(-1, 2))
    """
    p, exponent = dyadic(target)
    p_unit = 1 << exponent
    prefix = list(itertools.accumulate(p, initial=0))
    rounded = np.array([m / p_unit for m in prefix]) - np.array([f / chain.unit for f in chain.low])
    candidates = np.flatnonzero(rounded <= rounded.min() + SCREENING).tolist()
    scale = p_unit * chain.unit
    return (
        Fraction(min(prefix[k] * chain.unit - chain.high[k] * p_unit for k in candidates), scale),
        Fraction(min(prefix[k] * chain.unit - chain.low[k] * p_unit for k in candidates), scale),
    )
