"""Truncated selection rules against enumeration, the full linear program and the paper's bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbound.bounds.papers import truncated
from mdbound.bounds.papers.match_balance import along_paths, balance
from mdbound.bounds.papers.truncated import truncated_alphabet, truncated_selection
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from tests.hard_rows import random_distribution
from tests.oracles.acceptance_over_all_sets import (
    brute_force_acceptance,
    contained_with_replacement,
)
from tests.oracles.truncated_program import program_optimum


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
    assert rule.acceptance == pytest.approx(
        brute_force_acceptance(p, contained_with_replacement(q, 2)), abs=1e-12
    )


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
    loss = brute_force_acceptance(p, contained_with_replacement(q, 2)) - rule.acceptance
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


STUCK = (
    [
        2.9457679020177358e-05,
        1.0112926484049475e-11,
        0.13477392846616953,
        5.779937710540329e-12,
        0.8651966138389174,
    ],
    [
        0.005425089267684934,
        9.316386808384201e-10,
        0.36172831203402644,
        2.4041501014995567e-06,
        0.6328441936165484,
    ],
)


def test_mass_that_has_to_pass_tokens_of_tiny_probability() -> None:
    """Sweeps over pairs alone stay 1e-11 from the optimum here, however many."""
    p, q = map(np.array, STUCK)
    rule = truncated_selection(p, q, 2, 5)
    optimum = brute_force_acceptance(p, contained_with_replacement(q, 2))
    assert rule.acceptance == pytest.approx(optimum, abs=1e-14)
    assert rule.matches[0].gap < 1e-14


def test_sweeps_alone_are_stuck() -> None:
    """Control: what a match does before anything passes along paths."""
    p, q = map(np.array, STUCK)
    order = np.argsort(-(p - q * q), kind="stable")
    a, target = q[order], p[order]
    capacity = 2.0 * np.outer(a, a)
    np.fill_diagonal(capacity, 0.0)
    flow, gap = balance(target, a * a, capacity, 20_000)
    assert gap > 5e-12
    _, moved = along_paths(target, a * a, flow)
    assert moved < 1e-14


@pytest.mark.parametrize("seed", range(100))
def test_rankings_are_those_of_a_stable_sort(seed: int) -> None:
    """From the ranking before or from none; equal keys by token id, whatever they were before."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    first = rng.choice([0.0, 0.1, 0.1, 0.2, -0.3, -0.0], size) + seed % 2 * rng.random(size)
    order = truncated._ranking(first, None)
    assert (order == np.argsort(-first, kind="stable")).all()
    then = first + rng.choice([0.0, 0.0, 0.1], size)
    assert (truncated._ranking(then, order) == np.argsort(-then, kind="stable")).all()
