"""Theorems 2 and 3 of Khisti et al. in rational numbers, and apart from the general solver."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.with_replacement.law import WithReplacement
from mdbound.bounds.papers.two_drafts import margin_error
from mdbound.errors import InvalidDistributionError
from tests.hard_rows import adversarial_pairs, adversarial_row
from tests.oracles.acceptance_over_all_sets import exact_acceptance_with_replacement, subset_masses
from tests.oracles.with_replacement_by_sorting import exact_acceptance, exact_margin

HALF_AN_ULP = 2.0**-54
DRAFTS = (1, 2, 3, 5, 8)


def near_ties(rng, vocab_size, num_drafts):
    """A target with p_i next to n q(H)^(n-1) q_i: any order of the tokens is nearly right."""
    q = rng.dirichlet(np.full(vocab_size, rng.choice([0.1, 1.0])))
    inside = rng.random(vocab_size) < 0.6
    slope = num_drafts * q[inside].sum() ** (num_drafts - 1)
    p = slope * q * (1.0 + rng.choice([0.0, 2.0**-53, 1e-15, 1e-9]) * rng.normal(size=vocab_size))
    p[int(q.argmax())] += max(0.0, 1.0 - p.sum())
    return p / p.sum(), q


def rows(seed):
    """Ties, zeros, p = q, sparse and near-degenerate rows; near-ties at the optimum."""
    yield from adversarial_pairs(600, seed)
    yield from ((q, q) for _, q in adversarial_pairs(100, seed + 1))
    rng = np.random.default_rng(seed)
    for case in range(200):
        yield near_ties(rng, int(rng.integers(2, 7)), DRAFTS[case % len(DRAFTS)])


def test_closed_form_against_every_set_in_fractions():
    for p, q in rows(seed=1):
        exact = exact_acceptance_with_replacement(p, q, 2)
        error = abs(Fraction(bounds.two_draft_acceptance(p, q)) - exact)
        assert error <= Fraction(margin_error(2) + HALF_AN_ULP), (p, q, float(error))


@pytest.mark.parametrize("num_drafts", DRAFTS)
def test_margin_against_every_set_in_fractions(num_drafts):
    for p, q in rows(seed=2):
        exact = exact_acceptance_with_replacement(p, q, num_drafts) - 1
        found = min(0.0, bounds.equals_one_margin(p, q, num_drafts))
        assert abs(Fraction(found) - exact) <= Fraction(margin_error(num_drafts)), (p, q)


@pytest.mark.parametrize("vocab_size", [40, 400, 4000])
def test_larger_rows_against_all_prefixes_in_fractions(vocab_size):
    rng = np.random.default_rng(vocab_size)
    for case in range(2000 // vocab_size + 18):
        p, q = (adversarial_row(rng, kind, vocab_size) for kind in (case, case // 9 + case))
        if case % 3 == 0:
            p, q = near_ties(rng, vocab_size, 2)
        error = abs(Fraction(bounds.two_draft_acceptance(p, q)) - exact_acceptance(p, q, 2))
        assert error <= Fraction(margin_error(2) + HALF_AN_ULP), case
        margin = Fraction(bounds.equals_one_margin(p, q, 2))
        exact = exact_margin(p, q, 2)
        assert abs(min(margin, 0) - min(exact, 0)) <= Fraction(margin_error(2)), case


def test_error_is_stated_not_padded():
    """The bound is a few ulps, and rounding comes within a factor of ten of it."""
    errors = [
        abs(Fraction(bounds.equals_one_margin(p, q, 2)) - exact_margin(p, q, 2))
        for p, q in (near_ties(np.random.default_rng(seed), 400, 2) for seed in range(40))
    ]
    assert margin_error(2) / 10 <= max(errors) <= margin_error(2) < 8e-16


def test_it_can_disagree_with_the_general_solver(monkeypatch):
    """A wrong solver does not touch it; with a right one the two meet at full vocabulary."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 3.0, (4, 49_152))
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(logits + rng.normal(size=logits.shape))
    curve = bounds.solve_curve(p, q, 2)
    closed = bounds.two_draft_acceptance(p, q)
    room = curve.error_bound[:, 1] + margin_error(2)
    assert (np.abs(closed - curve.acceptance[:, 1]) <= room).all()

    right = WithReplacement.curve

    def wrong(law, target, draft, max_drafts, strict=True):
        curve = right(law, target, draft, max_drafts, strict)
        curve.acceptance[:, 1] += 1e-11
        return curve

    monkeypatch.setattr(WithReplacement, "curve", wrong)
    found = bounds.solve_curve(p, q, 2).acceptance[:, 1]
    assert (np.abs(bounds.two_draft_acceptance(p, q) - found) > room).all()
    assert bounds.two_draft_acceptance(p, q).tolist() == closed.tolist()


@pytest.mark.parametrize("num_drafts", [1, 2, 3, 5])
def test_reported_set_attains_the_margin(num_drafts):
    for p, q in adversarial_pairs(300, seed=2):
        differences = (subset_masses(p) - subset_masses(q) ** num_drafts)[1:]
        condition = bounds.equals_one_condition(p, q, num_drafts)
        # Tokens outside the draft's support can only raise a set, so a prefix attains the least.
        assert condition.margin == pytest.approx(differences.min(), abs=1e-14)
        mask = (1 << condition.subset).sum()
        assert differences[mask - 1] == pytest.approx(condition.margin, abs=1e-14)
        assert condition.holds == (differences.min() >= -1e-13)
        assert condition.margin == bounds.equals_one_margin(p, q, num_drafts)


def test_condition_holds_iff_the_bound_is_one():
    seen = set()
    for p, q in adversarial_pairs(500, seed=3):
        holds = bounds.equals_one_condition(p, q).holds
        assert holds == (bounds.optimal_acceptance(p, q, 2) >= 1.0 - 1e-13)
        seen.add(holds)
    assert seen == {True, False}


def test_batches_and_single_rows():
    p, q = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.5, 0.5], [0.1, 0.9]])
    np.testing.assert_allclose(bounds.equals_one_margin(p, q), [0.0, 0.1 - 0.81], atol=1e-15)
    np.testing.assert_allclose(bounds.two_draft_acceptance(p, q), [1.0, 0.29], atol=1e-15)
    against_one = bounds.two_draft_acceptance(p, q[1])
    assert against_one.tolist() == [bounds.two_draft_acceptance(row, q[1]) for row in p]
    assert isinstance(bounds.two_draft_acceptance(p[0], q[0]), float)
    assert isinstance(bounds.equals_one_margin(p[0], q[0]), float)


def test_one_position_only():
    with pytest.raises(InvalidDistributionError, match="one position, not 2 rows"):
        bounds.equals_one_condition(np.full((2, 2), 0.5), np.full((2, 2), 0.5))
