"""Independent roads to the optimum: every subset, every draft tuple, no cleverness.

Everything here is for vocabularies small enough to enumerate. Subsets are bit masks: bit i of H
says that token i is in H.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import permutations, product

import numpy as np

Row = np.ndarray


@lru_cache
def memberships(vocab_size: int) -> Row:
    """Indicator matrix of all subsets, shape (2^V, V)."""
    return (np.arange(1 << vocab_size)[:, None] >> np.arange(vocab_size)) & 1


def subset_masses(probabilities: Row) -> Row:
    return memberships(len(probabilities)) @ probabilities


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


def exact_prefix_minimum(target: Row, draft: Row, num_drafts: int) -> Fraction:
    """Rational optimum over prefixes of the exact order q/p: the truth at any vocabulary size."""
    pairs = [
        (Fraction(float(p)), Fraction(float(q)))
        for p, q in zip(target, draft, strict=True)
        if q > 0.0
    ]
    pairs.sort(key=lambda pair: pair[0] / pair[1])
    best = p_in = q_in = Fraction(0)
    for p, q in pairs:
        p_in += p
        q_in += q
        best = min(best, p_in - q_in**num_drafts)
    return 1 + best


def adversarial_pairs(count: int, seed: int, max_vocab: int = 6) -> Iterator[tuple[Row, Row]]:
    """Small targets and drafts full of ties, zeros, sparse and near-degenerate rows."""
    rng = np.random.default_rng(seed)
    for case in range(count):
        vocab_size = int(rng.integers(1, max_vocab + 1))
        yield adversarial_row(rng, case, vocab_size), adversarial_row(rng, case // 9, vocab_size)


def adversarial_row(rng: np.random.Generator, kind: int, vocab_size: int) -> Row:
    """One distribution of a named kind of trouble."""
    kinds = (
        lambda: rng.dirichlet(np.ones(vocab_size)),
        lambda: rng.dirichlet(np.full(vocab_size, 0.1)) + 1e-300,
        lambda: rng.integers(0, 3, vocab_size).astype(float),  # ties and zeros
        lambda: np.ones(vocab_size),
        lambda: 10.0 ** rng.uniform(-9, 0, vocab_size),
        lambda: 10.0 ** rng.uniform(-300, 0, vocab_size),
        lambda: np.eye(vocab_size)[rng.integers(vocab_size)],  # one-hot
        lambda: 1.0 + 1e-15 * rng.integers(0, 5, vocab_size),  # near-ties
        lambda: rng.dirichlet(np.ones(vocab_size)) * (rng.random(vocab_size) < 0.5),  # sparse
    )
    row = np.asarray(kinds[kind % len(kinds)]())
    if row.sum() == 0.0:
        row[rng.integers(vocab_size)] = 1.0
    return row / row.sum()


def sorted_curve(target: Row, draft: Row, max_drafts: int) -> Row:
    """Optimum with replacement by sorting the whole vocabulary, sums in extended precision."""
    order = np.flatnonzero(draft > 0.0)
    with np.errstate(over="ignore"):
        order = order[np.argsort(target[order] / draft[order], kind="stable")]
    p_prefix = np.cumsum(target[order].astype(np.longdouble))
    q_prefix = np.cumsum(draft[order].astype(np.longdouble))
    return np.array(
        [
            1.0 + min(0.0, float((p_prefix - q_prefix**n).min(initial=0.0)))
            for n in range(1, max_drafts + 1)
        ]
    )
