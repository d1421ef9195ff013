"""Oracle of the optimum and of F(H): every set, every tuple of drafts, no cleverness.

For vocabularies small enough to enumerate. Sets are bit masks where they are arrays: bit i of H
says that token i is in H.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, permutations, product

import numpy as np

from tests.oracles.drafted_tuples import DraftLaw, Number, containment

Row = np.ndarray


@lru_cache
def memberships(vocab_size: int) -> Row:
    """Indicator matrix of all subsets, shape (2^V, V)."""
    return (np.arange(1 << vocab_size)[:, None] >> np.arange(vocab_size)) & 1


def subset_masses(probabilities: Row) -> Row:
    return memberships(len(probabilities)) @ probabilities


def optimum(target: Sequence[Number], law: DraftLaw) -> Number:
    """1 + min over all sets H of p(H) - F(H), for any law of the drafts; exact for fractions."""
    best = Fraction(0)
    for size in range(1, len(target) + 1):
        for chosen in combinations(range(len(target)), size):
            best = min(best, sum(target[y] for y in chosen) - containment(law, chosen))
    return 1 + best


def brute_force_acceptance(target: Row, contained: Row) -> float:
    """1 + min over all H of p(H) - F(H), given F of every H."""
    return float(1.0 + (subset_masses(target) - contained).min())


def contained_with_replacement(draft: Row, num_drafts: int) -> Row:
    return subset_masses(draft) ** num_drafts


def contained_independent(drafts: Sequence[Row]) -> Row:
    return np.prod([subset_masses(draft) for draft in drafts], axis=0)


def contained_without_replacement(draft: Row, num_drafts: int) -> Row:
    """Every ordered tuple of distinct tokens with its probability, then sums over subsets."""
    vocab_size = len(draft)
    support = np.flatnonzero(draft > 0.0)
    tuples = np.array(list(permutations(support, min(num_drafts, len(support)))))
    chosen = draft[tuples]
    probability = np.ones(len(tuples))
    for k in range(tuples.shape[1]):
        # What is left is summed over the tokens left, never as 1 minus those drawn.
        drawn = np.zeros((len(tuples), vocab_size), dtype=bool)
        np.put_along_axis(drawn, tuples[:, :k], True, axis=1)
        left = np.where(drawn, 0.0, draft).sum(axis=1)
        probability *= chosen[:, k] / left
    contained = np.zeros(1 << vocab_size)
    np.add.at(contained, (1 << tuples).sum(axis=1), probability)
    return sum_over_subsets(contained, vocab_size)


def contained_greedy(draft: Row, num_drafts: int) -> Row:
    """The n - 1 most likely tokens for sure, one draw from the rest."""
    support = sorted(np.flatnonzero(draft > 0.0), key=lambda token: (-draft[token], token))
    top, rest = support[: num_drafts - 1], support[num_drafts - 1 :]
    contained = np.zeros(1 << len(draft))
    top_mask = sum(1 << int(token) for token in top)
    if not rest:
        contained[top_mask] = 1.0
    rest_mass = sum(draft[token] for token in rest)
    for token in rest:
        contained[top_mask | 1 << int(token)] += draft[token] / rest_mass
    return sum_over_subsets(contained, len(draft))


def sum_over_subsets(values: Row, vocab_size: int) -> Row:
    """Replace each value by the sum over the subsets of its mask."""
    values = values.reshape((2,) * vocab_size)
    for axis in range(vocab_size):
        values = np.cumsum(values, axis=axis)
    return values.reshape(-1)


def exact_acceptance_with_replacement(target: Row, draft: Row, num_drafts: int) -> Fraction:
    """The optimum of the given floats, in rational arithmetic over all subsets."""
    p = [Fraction(float(x)) for x in target]
    q = [Fraction(float(x)) for x in draft]
    best = Fraction(0)
    for members in product((False, True), repeat=len(p)):
        p_in = sum((x for x, inside in zip(p, members, strict=True) if inside), Fraction(0))
        q_in = sum((x for x, inside in zip(q, members, strict=True) if inside), Fraction(0))
        best = min(best, p_in - q_in**num_drafts)
    return 1 + best


def exact_acceptance_without_replacement(
    target: Row, draft: Row, max_drafts: int
) -> list[Fraction]:
    """The optimum for n = 1..N of the given floats, draws and sets enumerated in rationals."""
    p = [Fraction(float(x)) for x in target]
    q = [Fraction(float(x)) for x in draft]
    size = len(p)
    masses = [sum((p[i] for i in range(size) if h >> i & 1), Fraction(0)) for h in range(1 << size)]
    drawn = {0: Fraction(1)}
    optima = []
    for _ in range(max_drafts):
        following: dict[int, Fraction] = {}
        for members, probability in drawn.items():
            left = [i for i in range(size) if q[i] > 0 and not members >> i & 1]
            if not left:
                following[members] = probability
            for i in left:
                share = probability * q[i] / sum(q[j] for j in left)
                following[members | 1 << i] = following.get(members | 1 << i, Fraction(0)) + share
        drawn = following
        inside = [
            sum((x for s, x in drawn.items() if s & h == s), Fraction(0)) for h in range(1 << size)
        ]
        optima.append(1 + min(x - f for x, f in zip(masses, inside, strict=True)))
    return optima
