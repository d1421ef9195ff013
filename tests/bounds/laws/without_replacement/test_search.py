"""The bucketed search without replacement: against all prefixes of the sorted row, and bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.canonical.prefix_increments import without_replacement_increments
from tests.hard_rows import adversarial_pairs
from tests.oracles.acceptance_over_all_sets import exact_acceptance_without_replacement
from tests.oracles.without_replacement_by_sorting import prefix_containments, sorted_curve


def long_logits(rng, case):
    """Flat to nearly one-hot rows; drafts equal, close, far and unrelated; masks and ties."""
    vocab_size = int(rng.integers(256, 2000))
    scale = rng.choice([0.3, 1.0, 3.0, 8.0, 30.0])
    target = rng.normal(0.0, scale, vocab_size)
    draft = target + rng.normal(0.0, rng.choice([0.0, 1e-3, 0.1, 1.0, 5.0]), vocab_size)
    if case % 5 == 0:
        draft = rng.normal(0.0, scale, vocab_size)
    if case % 7 == 0:
        draft[rng.random(vocab_size) < 0.4] = -np.inf
    if case % 11 == 0:
        target[rng.random(vocab_size) < 0.5] = -np.inf
    if case % 13 == 0:
        target, draft = np.round(target), np.round(draft)
    return target.astype(np.float32), draft.astype(np.float32)


def test_search_equals_sorting():
    rng = np.random.default_rng(0)
    for case in range(120):
        target, draft = long_logits(rng, case)
        num_drafts = (1, 2, 3, 5, 8)[case % 5]
        p, q = (bounds.distribution_from_logits(row) for row in (target, draft))
        expected = sorted_curve(p, q, num_drafts)
        found = bounds.solve_curve_from_logits(target, draft, num_drafts, "without_replacement")
        error = np.abs(found.acceptance[0] - expected)
        assert (error <= found.error_bound[0]).all(), case
        assert error.max() <= 1e-13, case
        attained = 1.0 + found.target_mass - found.containment
        np.testing.assert_allclose(found.acceptance, attained, atol=1e-15)


def test_any_support_and_any_number_of_drafts():
    """Supports from one token, n above the support and above 8, draft masses down to 1e-290."""
    rng = np.random.default_rng(3)
    for case in range(150):
        vocab_size = int(rng.integers(1, (4, 40, 300)[case % 3]))
        decades = rng.choice([0.5, 3.0, 30.0, 290.0])
        q = 10.0 ** rng.uniform(-decades, 0.0, vocab_size)
        p = q * np.exp(rng.normal(0.0, rng.choice([0.0, 0.1, 2.0]), vocab_size))
        if case % 4 == 0:
            p = rng.permutation(p)
        if case % 5 == 0:
            q[rng.random(vocab_size) < 0.3] = 0.0
            q[0] = 1.0
        p, q = p / p.sum(), q / q.sum()
        num_drafts = (3, 8, 9, 12, 20)[case % 5]
        expected = sorted_curve(p, q, num_drafts)
        found = bounds.solve_curve(p, q, num_drafts, "without_replacement")
        error = np.abs(found.acceptance[0] - expected)
        assert (error <= found.error_bound[0]).all(), case
        assert error.max() <= 1e-13, case


def test_a_thousand_adversarial_rows_against_rational_enumeration():
    for p, q in adversarial_pairs(1000, seed=5, max_vocab=5):
        kept = np.where(q < 1e-303, 0.0, q)
        if (p.sum(), kept.sum()) == (0.0, 0.0):
            continue
        exact = exact_acceptance_without_replacement(p, kept, 6)
        found = bounds.solve_curve(p, kept, 6, "without_replacement")
        for n in range(6):
            error = abs(Fraction(float(found.acceptance[0, n])) - exact[n])
            assert error <= Fraction(float(found.error_bound[0, n])), (p, q, n + 1)
            assert error <= 1e-12


def test_slopes_equal_to_ratios_everywhere():
    """Every prefix attains the optimum: nothing can be excluded but by evaluating it."""
    rng = np.random.default_rng(6)
    q = rng.dirichlet(np.full(400, 0.5))
    q[q < 1e-12] = 1e-12
    q /= q.sum()
    p = without_replacement_increments(q, 3)
    p = np.maximum(p, 0.0)
    p[:3] += 1e-12
    p /= p.sum()
    found = bounds.solve_curve(p, q, 3, "without_replacement")
    expected = sorted_curve(p, q, 3)
    error = np.abs(found.acceptance[0] - expected)
    assert (error <= found.error_bound[0]).all()


def test_full_vocabulary_against_extended_precision():
    """Draft masses from 1e-9 to 1: the value at the reported prefix, and at its neighbours."""
    rng = np.random.default_rng(1)
    draft = 10.0 ** rng.uniform(-9.0, 0.0, 49_152)
    draft *= np.where(draft > 1e-3, rng.random(len(draft)) ** 6, 1.0)
    draft /= draft.sum()
    target = draft * np.exp(rng.normal(0.0, 1.0, len(draft)))
    target /= target.sum()
    curve = bounds.solve_curve(target, draft, 8, "without_replacement")
    order = np.argsort(target / draft, kind="stable")
    masses = np.append(0.0, np.cumsum(target[order].astype(np.longdouble)))
    for n in (3, 8):
        size = int(curve.subset_size[0, n - 1])
        sizes = np.array([size - 50, size, size + 50])
        contained = prefix_containments(draft[order], n, sizes, np.longdouble)[:, -1]
        before, exact, behind = (1.0 + masses[sizes] - contained).astype(float)
        assert abs(curve.acceptance[0, n - 1] - exact) <= curve.error_bound[0, n - 1]
        assert abs(curve.acceptance[0, n - 1] - exact) <= 1e-14
        assert min(before, behind) >= exact - 1e-15


@pytest.mark.parametrize("num_drafts", [1, 2, 8])
def test_equal_rows_accept_everything(num_drafts):
    logits = np.random.default_rng(2).normal(0.0, 3.0, (2, 5000)).astype(np.float32)
    curve = bounds.solve_curve_from_logits(logits, logits, num_drafts, "without_replacement")
    assert curve.acceptance == pytest.approx(1.0, abs=1e-14)
    assert (curve.subset_size == 0).all()


def test_disjoint_supports_accept_nothing():
    target, draft = np.zeros(1000), np.zeros(1000)
    target[:500] = draft[500:] = 1.0 / 500
    found = bounds.acceptance_curve(target, draft, 8, "without_replacement")
    assert found == pytest.approx(0.0, abs=1e-14)
