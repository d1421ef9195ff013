"""Selection rules of every draft law, against laws of drafted tuples that the oracles enumerate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.canonical.decomposition import CanonicalDecomposition, canonical_decomposition
from mdbound.bounds.canonical.selection import by_program, listed_sets
from mdbound.bounds.canonical.selection.set_weights import CompetingSets, set_weights
from mdbound.bounds.programs.draft_sets import count_sets
from mdbound.errors import InvalidSettingError, UnsolvedError
from tests.hard_rows import random_distribution
from tests.oracles import schemes as oracles

Law = Mapping[tuple[int, ...], Fraction]


def exact(row: np.ndarray) -> list[Fraction]:
    values = [Fraction(float(x)) for x in row]
    return [value / sum(values) for value in values]


def selected_and_output(
    rule: CanonicalDecomposition, law: Law
) -> tuple[np.ndarray, np.ndarray, float]:
    """Law of the selected token, law of the output, and P(output among the drafts)."""
    selected, output, member = np.zeros_like(rule.target), np.zeros_like(rule.target), 0.0
    residual = rule.residual()
    for drafted, weight in law.items():
        given = np.zeros_like(rule.target)
        for token, share in rule.selection_probabilities(drafted).items():
            selected[token] += float(weight) * share
            kept = share * rule.accept_probability(token)
            given[token] += kept
            given += (share - kept) * residual
        output += float(weight) * given
        member += float(weight) * given[list(set(drafted))].sum()
    return selected, output, member


def assert_optimal(p: np.ndarray, q: object, n: int, sampling: str, law: Law) -> None:
    rule = canonical_decomposition(p, q, n, sampling)
    selected, output, member = selected_and_output(rule, law)
    np.testing.assert_allclose(selected, rule.selected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(output, p, rtol=0, atol=1e-11)
    best = oracles.optimum(exact(p), law)
    assert member == pytest.approx(float(best), abs=1e-10)
    assert rule.acceptance == pytest.approx(float(best), abs=1e-11)


LAWS = {
    "without_replacement": oracles.without_replacement_law,
    "greedy": oracles.greedy_law,
}


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(60))
def test_every_law_reaches_its_optimum_and_loses_nothing(sampling: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    q = random_distribution(rng, size)
    p = q if seed % 7 == 0 else random_distribution(rng, size)
    assert_optimal(p, q, n, sampling, LAWS[sampling](exact(q), n))


@pytest.mark.parametrize("seed", range(60))
def test_drafts_of_different_laws_reach_their_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    drafts = [random_distribution(rng, size) for _ in range(n)]
    p = drafts[0] if seed % 7 == 0 else random_distribution(rng, size)
    law = oracles.independent_law([exact(q) for q in drafts])
    assert_optimal(p, drafts, n, "independent", law)


def test_a_rule_that_ignores_the_weights_is_found_out() -> None:
    """Control: equal shares in the last block give another law of the selected token."""
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    rule = canonical_decomposition(p, q, 2, "without_replacement")
    law = oracles.without_replacement_law(exact(q), 2)
    first = {drafted: rule.selection_probabilities(drafted) for drafted in law}
    equal = np.zeros(3)
    for drafted, weight in law.items():
        among = [token for token, share in first[drafted].items() if share > 0.0]
        equal[among] += float(weight) / len(among)
    assert np.abs(equal - rule.selected).max() > 1e-3


@pytest.mark.parametrize("seed", range(100))
def test_prefixes_that_nearly_touch_without_replacement(seed: int) -> None:
    """p near the increments of containment, where weights span as many decades as floats."""
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(3, 6)), int(rng.integers(2, 4))
    q = rng.dirichlet(np.ones(size)) if seed % 2 else 10.0 ** rng.uniform(-8, 0, size)
    q = q / q.sum()
    law = oracles.without_replacement_law(exact(q), n)
    prefixes = [
        float(sum(weight for drafted, weight in law.items() if max(drafted) < k))
        for k in range(size + 1)
    ]
    off = 10.0 ** rng.uniform(-17, -1, size) * rng.choice([-1, 0, 1], size)
    p = np.maximum(np.diff(prefixes) * (1.0 + off), 0.0)
    rule = canonical_decomposition(p / p.sum(), q, n, "without_replacement")
    selected, *_ = selected_and_output(rule, law)
    np.testing.assert_allclose(selected, rule.selected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("size", "n"), [(300, 2), (50, 3), (12, 6)])
def test_larger_vocabularies_without_replacement(size: int, n: int) -> None:
    """p_I of the drafted sets, whose probabilities the programs list."""
    rng = np.random.default_rng(size)
    logits = 3.0 * rng.normal(size=size)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.8 * logits + rng.normal(size=size))
    rule = canonical_decomposition(p, q, n, "without_replacement")
    draws = 40_000
    keys = rng.exponential(size=(draws, size)) / q
    drafted = np.argpartition(keys, n, axis=1)[:, :n]
    token = rule.select(drafted, rng)
    heavy = np.argsort(-rule.selected)[:20]
    counts = np.bincount(token, minlength=size)[heavy] / draws
    spread = np.sqrt(rule.selected[heavy] / draws)
    assert (np.abs(counts - rule.selected[heavy]) < 4.5 * spread).all()


def test_greedy_at_full_vocabulary() -> None:
    rng = np.random.default_rng(5)
    logits = 3.0 * rng.normal(size=49_152)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.8 * logits + rng.normal(size=49_152))
    rule = canonical_decomposition(p, q, 3, "greedy")
    top = np.argsort(-q, kind="stable")[:2]
    rest = q.copy()
    rest[top] = 0.0
    rest /= rest.sum()
    selected = np.zeros_like(p)
    for token in np.argsort(-rest)[:200].tolist():
        for chosen, share in rule.selection_probabilities([*top.tolist(), token]).items():
            selected[chosen] += rest[token] * share
    drawn = np.argsort(-rest)[:200]
    np.testing.assert_allclose(selected[drawn], rule.selected[drawn], rtol=1e-12)


@pytest.mark.parametrize(
    ("drafted", "sampling", "message"),
    [
        ([1, 1], "without_replacement", "stands twice"),
        ([1, 2], "greedy", "hold the 1 likeliest tokens"),
        ([0, 1, 2], "greedy", "3 drafted tokens given"),
    ],
)
def test_tuples_that_the_law_cannot_draw(
    drafted: Sequence[int], sampling: str, message: str
) -> None:
    rule = canonical_decomposition([0.2, 0.3, 0.5], [0.5, 0.3, 0.2], 2, sampling)
    with pytest.raises(InvalidSettingError, match=message):
        rule.selection_probabilities(drafted)


def test_drafts_that_never_come_together_are_refused() -> None:
    drafts = [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]
    rule = canonical_decomposition([0.2, 0.3, 0.5], drafts, 2, "independent")
    with pytest.raises(InvalidSettingError, match="never drafted together"):
        rule.selection_probabilities([1, 2])


def test_what_is_too_large_is_refused_with_its_limit() -> None:
    p = np.full(4_000, 1 / 4_000)
    large = canonical_decomposition(p, p, 2, "without_replacement")
    with pytest.raises(InvalidSettingError, match=f"lists {listed_sets.largest_list(2):,} at most"):
        large.selection_probabilities([0, 1])
    limit = f"takes {by_program.LARGEST_PROGRAM:,} at most"
    with pytest.raises(InvalidSettingError, match=limit):
        canonical_decomposition(p, [p, p, p], 3, "independent")


@pytest.mark.parametrize(
    ("tokens", "n", "sampling"),
    [(3_162, 2, "without_replacement"), (272, 3, "without_replacement"), (50, 3, "independent")],
)
def test_the_limits_that_docs_name(tokens: int, n: int, sampling: str) -> None:
    largest = {
        "without_replacement": listed_sets.largest_list(n),
        "independent": by_program.LARGEST_PROGRAM,
    }[sampling]

    def entries(size: int) -> int:
        counts = count_sets(np.full((1, size), 1.0 / size), n, sampling)
        return sum(members * count for members, count in counts.items())

    assert entries(tokens) <= largest
    if sampling == "without_replacement":
        assert entries(tokens + 1) > largest


def test_a_law_that_no_weights_have() -> None:
    """Control: more than the sets can give is an error, not a rule."""
    sets = CompetingSets(np.array([0, 1, 1, 2]), np.array([0, 2]), np.array([0.5, 0.5]))
    with pytest.raises(UnsolvedError, match="Newton steps"):
        set_weights(sets, np.array([0.7, 0.2, 0.1]))
