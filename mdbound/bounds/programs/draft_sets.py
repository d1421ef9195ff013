"""Every set of distinct tokens that a position can draft, with its probability, for small V.

Whether a token was drafted depends on the set of distinct drafted tokens alone, not on their
order or on repeats. So the optimal-transport program over the V^n tuples of drafts keeps its value
when the tuples of one set are merged: any plan for tuples sums to one for sets, and a plan for
sets splits over the tuples of a set in proportion to their probability.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.registry import entry_of_law
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray

Group = tuple[IntArray, FloatArray]
"""Sets of one size as rows of token ids, and their probabilities."""


@dataclass(frozen=True)
class DraftSets:
    """Sets of distinct drafted tokens and their probabilities, grouped by size.

    Attributes:
        members: for each size r that occurs, the sets as rows of token ids, shape (S_r, r).
        masses: for each size, their probabilities, shape (S_r,), all positive.
    """

    members: tuple[IntArray, ...]
    masses: tuple[FloatArray, ...]

    def groups(self) -> Iterator[Group]:
        """Sets and probabilities of one size at a time."""
        return zip(self.members, self.masses, strict=True)

    def total(self) -> float:
        """Probability of all the sets: 1 up to the rounding of the draft distributions."""
        return math.fsum(itertools.chain.from_iterable(self.masses))

    def containment(self, inside: BoolArray) -> float:
        """F(H): probability that every drafted token lies in the set H.

        Args:
            inside: shape (V,), True for the tokens of H.
        """
        parts = [mass[inside[sets].all(axis=1)] for sets, mass in self.groups()]
        return math.fsum(itertools.chain.from_iterable(parts))


class LawSets(NamedTuple):
    """The drafted sets of a law.

    Attributes:
        sizes: from the number of tokens that can be drafted and n, how many sets of each size
            `build` gives at most.
        build: from drafts (1, V), or (n, V) where each draft has a distribution of its own, and n
            to the sets of each size; sets of probability 0 are left out later.
    """

    sizes: Callable[[int, int], dict[int, int]]
    build: Callable[[FloatArray, int], Iterable[Group]]


def count_sets(drafts: FloatArray, num_drafts: int, sampling: str) -> dict[int, int]:
    """How many sets of each size `draft_sets` would build (at most, for independent drafts).

    Args:
        drafts: the draft distributions, shape (1, V), or (n, V) for `"independent"`.
        num_drafts: n.
        sampling: the draft law.

    Raises:
        InvalidSettingError: an unknown law, or one without an entry in `SETS`.

    Example:
        >>> count_sets(np.full((1, 400), 1 / 400), 2, "with_replacement")
        {1: 400, 2: 79800}
    """
    law = entry_of_law(SETS, sampling, "draft sets", _INSTEAD)
    return law.sizes(int((drafts > 0.0).any(axis=0).sum()), num_drafts)


def count_pairs(drafts: FloatArray, num_drafts: int, sampling: str) -> int:
    """How many pairs of a drafted set and a token of it: the size of a list or of a program.

    Args and Raises: see `count_sets`.

    Example:
        >>> count_pairs(np.full((1, 400), 1 / 400), 2, "with_replacement")
        160000
    """
    counts = count_sets(drafts, num_drafts, sampling)
    return sum(size * count for size, count in counts.items())


def draft_sets(drafts: FloatArray, num_drafts: int, sampling: str) -> DraftSets:
    """Enumerate the sets of distinct drafted tokens of a draft law.

    Args:
        drafts: checked distributions, shape (1, V), or (n, V) for `"independent"`.
        num_drafts: n, at least 1.
        sampling: a law of `SETS`.

    Raises:
        InvalidSettingError: an unknown law, or one without an entry in `SETS`.

    Example:
        >>> sets = draft_sets(np.array([[0.5, 0.5]]), 2, "with_replacement")
        >>> [(s.tolist(), m.tolist()) for s, m in sets.groups()]
        [([[0], [1]], [0.25, 0.25]), ([[0, 1]], [0.5])]
    """
    law = entry_of_law(SETS, sampling, "draft sets", _INSTEAD)
    # Products of tiny probabilities may underflow to 0: such a set is not drafted.
    kept = [(sets[mass > 0.0], mass[mass > 0.0]) for sets, mass in law.build(drafts, num_drafts)]
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


def _sizes_with_repeats(support: int, num_drafts: int) -> dict[int, int]:
    largest = min(num_drafts, support)
    return {size: math.comb(support, size) for size in range(1, largest + 1)}


def _with_replacement(drafts: FloatArray, num_drafts: int) -> Iterator[Group]:
    q = drafts[0]
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


def _sizes_without_replacement(support: int, num_drafts: int) -> dict[int, int]:
    largest = min(num_drafts, support)
    return {largest: math.comb(support, largest)}


def _without_replacement(drafts: FloatArray, num_drafts: int) -> Iterator[Group]:
    """Probability of a set: sum over its orders, one removed token at a time."""
    q = drafts[0]
    descending = np.argsort(-q, kind="stable")[: np.count_nonzero(q)]
    size = min(num_drafts, len(descending))
    places = combinations(len(descending), size)
    rates = q[descending]
    rest = np.array([math.fsum(rates[k:]) for k in range(len(rates) + 1)])
    drawn: dict[int, FloatArray] = {0: np.ones(len(places))}
    for chosen in range(1, 2**size):
        bits = [k for k in range(size) if chosen >> k & 1]
        mass = np.zeros(len(places))
        for k in bits:
            before = chosen ^ (1 << k)
            mass += drawn[before] * rates[places[:, k]] / _left(places, rates, rest, before)
        drawn[chosen] = mass
    yield descending[places], drawn[2**size - 1]


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


def _sizes_greedy(support: int, num_drafts: int) -> dict[int, int]:
    return {min(num_drafts, support): max(support - num_drafts + 1, 1)}


def _greedy(drafts: FloatArray, num_drafts: int) -> Iterator[Group]:
    """The n - 1 likeliest tokens, the lower id first among equals, with each of the others."""
    q = drafts[0]
    # Sorted, not selected as in the solver: a program shares no code with it.
    support = sorted(np.flatnonzero(q).tolist(), key=lambda token: (-q[token], token))
    top, rest = np.array(support[: num_drafts - 1], dtype=np.int64), support[num_drafts - 1 :]
    if not rest:
        yield top[None, :], np.ones(1)
        return
    drawn = np.sort(rest)
    sets = np.column_stack([np.broadcast_to(top, (len(drawn), len(top))), drawn])
    yield sets, q[drawn] / math.fsum(q[drawn])


def _independent(drafts: FloatArray, num_drafts: int) -> Iterator[Group]:
    """Sum over the ways to hand the n drafts to the tokens of a set so that each gets one."""
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


SETS: dict[str, LawSets] = {
    "with_replacement": LawSets(_sizes_with_repeats, _with_replacement),
    "without_replacement": LawSets(_sizes_without_replacement, _without_replacement),
    "greedy": LawSets(_sizes_greedy, _greedy),
    "independent": LawSets(_sizes_with_repeats, _independent),
}
"""The drafted sets by the name of the law; a law of your own gets linear programs by an entry."""

_INSTEAD = "use optimal_acceptance, which needs no linear program"
