"""Theorems 2 and 3 of Khisti et al.: closed form, condition, margin and set."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError
from tests.oracles.optimum import adversarial_pairs, subset_masses


def test_closed_form_is_the_general_solver_at_two():
    for p, q in adversarial_pairs(500, seed=1):
        expected = bounds.optimal_acceptance(p, q, 2)
        assert bounds.two_draft_acceptance(p, q) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("num_drafts", [1, 2, 3, 5])
def test_margin_is_the_least_over_all_non_empty_sets(num_drafts):
    for p, q in adversarial_pairs(300, seed=2):
        differences = (subset_masses(p) - subset_masses(q) ** num_drafts)[1:]
        condition = bounds.equals_one_condition(p, q, num_drafts)
        # Tokens outside the draft's support can only raise a set, so a prefix attains the least.
        assert condition.margin == pytest.approx(differences.min(), abs=1e-14)
        mask = (1 << condition.subset).sum()
        assert differences[mask - 1] == pytest.approx(condition.margin, abs=1e-14)
        assert condition.holds == (differences.min() >= -1e-13)


def test_condition_holds_iff_the_bound_is_one():
    seen = set()
    for p, q in adversarial_pairs(500, seed=3):
        holds = bounds.equals_one_condition(p, q).holds
        assert holds == (bounds.optimal_acceptance(p, q, 2) >= 1.0 - 1e-13)
        seen.add(holds)
    assert seen == {True, False}


def test_margins_of_a_batch():
    p, q = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.5, 0.5], [0.1, 0.9]])
    np.testing.assert_allclose(bounds.equals_one_margin(p, q), [0.0, 0.1 - 0.81], atol=1e-15)
    np.testing.assert_allclose(bounds.two_draft_acceptance(p, q), [1.0, 0.29], atol=1e-15)


def test_one_position_only():
    with pytest.raises(InvalidDistributionError, match="one position, not 2 rows"):
        bounds.equals_one_condition(np.full((2, 2), 0.5), np.full((2, 2), 0.5))
