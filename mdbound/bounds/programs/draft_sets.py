"""Every set of distinct tokens that a position can draft, with its probability, for small V.

Whether a token was drafted depends on the set of distinct drafted tokens alone, not on their
order or on repeats. So the optimal-transport program over the V^n tuples of drafts keeps its value
when the tuples of one set are merged: any plan for tuples sums to one for sets, and a plan for
sets splits over the tuples of a set in proportion to their probability.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.numerics.summation import suffix_sums
from mdbound.bounds.problem.array_types import FloatArray, IntArray


@dataclass(frozen=True)
class DraftSets:
    """Sets of distinct drafted tokens and their probabilities, grouped by size.

    Attributes:
        members: for each size r that occurs, the sets as rows of token ids, shape (S_r, r).
        masses: for each size, their probabilities, shape (S_r,), all positive.
    """

    members: tuple[IntArray, ...]
    masses: tuple[FloatArray, ...]

    def groups(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Sets and probabilities of one size at a time."""
        return zip(self.members, self.masses, strict=True)

    def total(self) -> float:
        """Probability of all the sets: 1 up to the rounding of the draft distributions."""
        return math.fsum(itertools.chain.from_iterable(self.masses))

    def containment(self, inside: npt.NDArray[np.bool_]) -> float:
        """F(H): probability that every drafted token lies in the set H.

        Args:
            inside: shape (V,), True for the tokens of H.
        """
        parts = [mass[inside[sets].all(axis=1)] for sets, mass in self.groups()]
        return math.fsum(itertools.chain.from_iterable(parts))


def count_sets(drafts: FloatArray, num_drafts: int, sampling: str) -> dict[int, int]:
    """How many sets of each size `draft_sets` would build (at most, for independent drafts).

    Args:
        drafts: the draft distributions, shape (1, V), or (n, V) for `"independent"`.
        num_drafts: n.
        sampling: the draft law.

    Example:
        >>> count_sets(np.full((1, 400), 1 / 400), 2, "with_replacement")
        {1: 400, 2: 79800}
    """
    support = int((drafts > 0.0).any(axis=0).sum())
    largest = min(num_drafts, support)
    if sampling == "greedy":
        return {largest: max(support - num_drafts + 1, 1)}
    if sampling == "without_replacement":
        return {largest: math.comb(support, largest)}
    return {size: math.comb(support, size) for size in range(1, largest + 1)}


def draft_sets(drafts: FloatArray, num_drafts: int, sampling: str) -> DraftSets:
    """Enumerate the sets of distinct drafted tokens of a draft law.

    Args:
        drafts: checked distributions, shape (1, V), or (n, V) for `"independent"`.
        num_drafts: n, at least 1.
        sampling: `"with_replacement"`, `"without_replacement"`, `"greedy"` or `"independent"`.

    Example:
        >>> sets = draft_sets(np.array([[0.5, 0.5]]), 2, "with_replacement")
        >>> [(s.tolist(), m.tolist()) for s, m in sets.groups()]
        [([[0], [1]], [0.25, 0.25]), ([[0, 1]], [0.5])]
    """
    if sampling == "with_replacement":
        groups = list(_with_replacement(drafts[0], num_drafts))
    elif sampling == "without_replacement":
        groups = [_without_replacement(drafts[0], num_drafts)]
    elif sampling == "greedy":
        groups = [_greedy(drafts[0], num_drafts)]
    else:
        groups = list(_independent(drafts))
    # Products of tiny probabilities may underflow to 0: such a set is not drafted.
    kept = [(sets[mass > 0.0], mass[mass > 0.0]) for sets, mass in groups]
    kept = [group for group in kept if len(group[1])]
    return DraftSets(tuple(sets for sets, _ in kept), tuple(mass for _, mass in kept))


def combinations(size: int, length: int) -> IntArray:
    """All increasing index tuples, shape (binomial(size, length), length), in order.

    Example:
        >>> combinations(3, 2).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    rows = np.arange(size, dtype=np.int64)[:, None]
    for _ in range(length - 1):
        followers = size - 1 - rows[:, -1]
        rows = np.repeat(rows, followers, axis=0)
        start = np.repeat(np.cumsum(followers) - followers, followers)
        added = rows[:, -1] + 1 + np.arange(len(rows)) - start
        rows = np.column_stack([rows, added])
    return rows


def _with_replacement(q: FloatArray, num_drafts: int) -> Iterator[tuple[IntArray, FloatArray]]:
    support = np.flatnonzero(q)
    for size in range(1, min(num_drafts, len(support)) + 1):
        sets = support[combinations(len(support), size)]
        mass = np.zeros(len(sets))
        for counts in itertools.product(range(1, num_drafts + 1), repeat=size):
            if sum(counts) == num_drafts:
                orders = math.factorial(num_drafts)
                for count in counts:
                    orders //= math.factorial(count)
                mass += orders * np.prod(q[sets] ** np.array(counts), axis=1)
        yield sets, mass


def _without_replacement(q: FloatArray, num_drafts: int) -> tuple[IntArray, FloatArray]:
    """Probability of a set: sum over its orders, one removed token at a time."""
    descending = np.argsort(-q, kind="stable")[: np.count_nonzero(q)]
    size = min(num_drafts, len(descending))
    places = combinations(len(descending), size)
    rates = q[descending]
    rest = suffix_sums(rates)
    drawn: dict[int, FloatArray] = {0: np.ones(len(places))}
    for chosen in range(1, 2**size):
        bits = [k for k in range(size) if chosen >> k & 1]
        mass = np.zeros(len(places))
        for k in bits:
            before = chosen ^ (1 << k)
            mass += drawn[before] * rates[places[:, k]] / _left(places, rates, rest, before)
        drawn[chosen] = mass
    return descending[places], drawn[2**size - 1]


def _left(places: IntArray, rates: FloatArray, rest: FloatArray, taken: int) -> FloatArray:
    """Mass left when some of each set's tokens are taken, without cancellation.

    `places` are ranks by descending rate. While the heaviest tokens are all taken the mass left
    is a tail sum; beyond the first heavy token that is left, what is taken is lighter than it.
    """
    leading = np.zeros(len(places), dtype=np.int64)
    later = np.zeros(len(places))
    for k in range(places.shape[1]):
        if taken >> k & 1:
            next_heaviest = places[:, k] == leading
            leading += next_heaviest
            later += np.where(next_heaviest, 0.0, rates[places[:, k]])
    return np.asarray(rest[leading] - later)


def _greedy(q: FloatArray, num_drafts: int) -> tuple[IntArray, FloatArray]:
    top = most_likely_tokens(q, num_drafts - 1)
    others = q.copy()
    others[top] = 0.0
    drawn = np.flatnonzero(others)
    if len(drawn) == 0:
        return np.asarray(top[None, :]), np.ones(1)
    sets = np.column_stack([np.broadcast_to(top, (len(drawn), len(top))), drawn])
    return sets, others[drawn] / math.fsum(others)


def _independent(drafts: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Sum over the ways to hand the n drafts to the tokens of a set so that each gets one."""
    num_drafts = len(drafts)
    support = np.flatnonzero((drafts > 0.0).any(axis=0))
    for size in range(1, min(num_drafts, len(support)) + 1):
        sets = support[combinations(len(support), size)]
        mass = np.zeros(len(sets))
        for handed in itertools.product(range(size), repeat=num_drafts):
            if len(set(handed)) == size:
                term = np.ones(len(sets))
                for q, member in zip(drafts, handed, strict=True):
                    term *= q[sets[:, member]]
                mass += term
        yield sets, mass
