"""Truncated selection rules against enumeration, the full linear program and the paper's bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mdbound.bounds.papers.truncated import truncated_alphabet, truncated_selection
from mdbound.errors import InvalidDistributionError, InvalidSettingError

Distribution = np.ndarray


def random_distribution(rng: np.random.Generator, size: int) -> Distribution:
    """Dense, tied, sparse or peaked, so that zeros and equal values are common."""
    kind = rng.integers(4)
    if kind == 0:
        values = rng.random(size) ** 3
    elif kind == 1:
        values = rng.integers(1, 4, size).astype(float)
    elif kind == 2:
        values = rng.random(size) * (rng.random(size) < 0.6)
        values[rng.integers(size)] += 0.1
    else:
        values = 10.0 ** rng.uniform(-9, 0, size)
    return values / values.sum()


def brute_optimum(p: Distribution, q: Distribution, n: int) -> float:
    subsets = itertools.product([False, True], repeat=len(p))
    return 1.0 + min(p[list(h)].sum() - q[list(h)].sum() ** n if any(h) else 0.0 for h in subsets)


def program_optimum(p: Distribution, q1: Distribution, q2: Distribution, s: int) -> float:
    """The truncated linear program as the paper states it: one weight per pair of contenders."""
    order = np.argsort(-(p - q1 * q2), kind="stable")
    p, q1, q2 = p[order], q1[order], q2[order]
    size = len(p)
    fixed = np.zeros(size)
    pairs = []
    for i, j in itertools.product(range(size), repeat=2):
        if i != j and max(i, j) < s:
            pairs.append((i, j))
        else:
            fixed[min(i, j)] += q1[i] * q2[j]
    # Columns: a weight per unordered pair, then the accepted mass of each token.
    pairs = [(i, j) for i, j in pairs if i < j]
    mass = np.array([q1[i] * q2[j] + q1[j] * q2[i] for i, j in pairs])
    rows = np.zeros((size, len(pairs) + size))
    limit = fixed.copy()
    for k, (i, j) in enumerate(pairs):
        rows[i, k] = -mass[k]
        rows[j, k] = mass[k]
        limit[j] += mass[k]
    rows[:, len(pairs) :] = np.eye(size)
    cost = np.concatenate([np.zeros(len(pairs)), -np.ones(size)])
    bounds = [(0.0, 1.0)] * len(pairs) + [(0.0, value) for value in p]
    return float(-linprog(cost, A_ub=rows, b_ub=limit, bounds=bounds).fun)


@pytest.mark.parametrize("seed", range(40))
def test_a_match_reaches_the_optimum_of_the_truncated_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 9))
    p, q1, q2 = (random_distribution(rng, size) for _ in range(3))
    if seed % 4 == 0:
        p = q1
    for contenders in range(1, size + 1):
        rule = truncated_selection(p, [q1, q2], 2, contenders)
        assert rule.acceptance == pytest.approx(program_optimum(p, q1, q2, contenders), abs=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_two_identical_drafts_with_every_token_reach_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 8))
    p, q = random_distribution(rng, size), random_distribution(rng, size)
    rule = truncated_selection(p, q, 2, size)
    assert rule.acceptance == pytest.approx(brute_optimum(p, q, 2), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_loss_is_at_most_the_published_guarantee(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 8))
    contenders = int(rng.integers(1, size + 1))
    p, q = random_distribution(rng, size), random_distribution(rng, size)
    rule = truncated_selection(p, q, 2, contenders)
    left_out = np.argsort(-(p - q * q), kind="stable")[contenders:]
    guarantee = np.maximum(p - q * q, 0.0)[left_out].sum()
    loss = brute_optimum(p, q, 2) - rule.acceptance
    assert -1e-12 <= loss <= guarantee + 1e-12


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("num_drafts", [1, 2, 3])
def test_selection_probabilities_have_the_stated_law(seed: int, num_drafts: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 6))
    p = random_distribution(rng, size)
    drafts = [random_distribution(rng, size) for _ in range(num_drafts)]
    rule = truncated_selection(p, drafts, num_drafts, int(rng.integers(1, size + 1)))
    law = np.zeros(size)
    for drafted in itertools.product(range(size), repeat=num_drafts):
        chosen = rule.selection_probabilities(drafted)
        assert set(chosen) == set(drafted)
        assert all(value >= 0.0 for value in chosen.values())
        weight = np.prod([q[token] for q, token in zip(drafts, drafted, strict=True)])
        for token, probability in chosen.items():
            law[token] += weight * probability
    np.testing.assert_allclose(law, rule.selected, rtol=0, atol=1e-14)
    assert rule.selected.sum() == pytest.approx(1.0, abs=1e-14)


def test_tournament_law_does_not_depend_on_token_ids() -> None:
    """An arbitrary optimum of the program would: its ties are broken by position."""
    rng = np.random.default_rng(5)
    p, q = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(30))
    shuffle = rng.permutation(30)
    rule = truncated_selection(p, q, 4, 30)
    shuffled = truncated_selection(p[shuffle], q[shuffle], 4, 30)
    np.testing.assert_allclose(shuffled.selected, rule.selected[shuffle], rtol=0, atol=1e-12)


def test_full_vocabulary_is_solved() -> None:
    rng = np.random.default_rng(1)
    logits = 3.0 * rng.normal(size=151_936)
    p, q = np.exp(logits), np.exp(0.7 * logits + rng.normal(size=151_936))
    p, q = p / p.sum(), q / q.sum()
    rates = [truncated_selection(p, q, 2, contenders).acceptance for contenders in (1, 5, 40)]
    assert rates == sorted(rates)
    rule = truncated_selection(p, q, 4, 40)
    assert rule.selected.sum() == pytest.approx(1.0, abs=1e-12)
    assert max(match.gap for match in rule.matches) <= 1e-13


def test_truncated_alphabet_keeps_the_most_likely_tokens() -> None:
    q = np.array([0.1, 0.3, 0.2, 0.3, 0.1])
    assert truncated_alphabet(q, 3).tolist() == pytest.approx([0.0, 0.375, 0.25, 0.375, 0.0])
    assert truncated_alphabet(q, 4)[[0, 4]].tolist() == pytest.approx([0.1 / 0.9, 0.0])
    np.testing.assert_allclose(truncated_alphabet(q, 99), q)


def test_bad_arguments_are_refused() -> None:
    half = [0.5, 0.5]
    with pytest.raises(InvalidSettingError, match="contenders is 0"):
        truncated_selection(half, half, 2, 0)
    with pytest.raises(InvalidSettingError, match="3 draft distributions given for num_drafts 2"):
        truncated_selection(half, [half, half, half], 2)
    with pytest.raises(InvalidDistributionError, match="give one position"):
        truncated_selection(half, [0.5, 0.25, 0.25], 2)
    with pytest.raises(InvalidSettingError, match="size is 0"):
        truncated_alphabet(half, 0)
    rule = truncated_selection(half, half, 2)
    with pytest.raises(InvalidSettingError, match="3 drafted tokens given"):
        rule.selection_probabilities([0, 1, 0])
    with pytest.raises(InvalidSettingError, match="drafted token 2 is outside"):
        rule.selection_probabilities([0, 2])
