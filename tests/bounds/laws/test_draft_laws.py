"""Every draft law against all subsets and all draft tuples, on thousands of awkward cases."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError
from tests.hard_rows import adversarial_pairs, adversarial_row
from tests.oracles.acceptance_over_all_sets import (
    brute_force_acceptance,
    contained_greedy,
    contained_independent,
    contained_with_replacement,
    contained_without_replacement,
    exact_acceptance_with_replacement,
    memberships,
)

CASES = 5000
MAX_DRAFTS = 4
CONTAINED = {
    "with_replacement": contained_with_replacement,
    "without_replacement": contained_without_replacement,
    "greedy": contained_greedy,
}


def pad(rows, vocab_size):
    """Rows of any length as one batch: tokens that neither model can produce are added."""
    return np.stack([np.pad(row, (0, vocab_size - len(row))) for row in rows])


@pytest.mark.parametrize("sampling", CONTAINED)
def test_curve_equals_brute_force(sampling):
    pairs = list(adversarial_pairs(CASES, seed=1)) + [(q, q) for _, q in adversarial_pairs(200, 2)]
    target, draft = pad([p for p, _ in pairs], 6), pad([q for _, q in pairs], 6)
    curve = bounds.solve_curve(target, draft, MAX_DRAFTS, sampling)
    for row, (p, q) in enumerate(pairs):
        for n in range(1, MAX_DRAFTS + 1):
            expected = brute_force_acceptance(p, CONTAINED[sampling](q, n))
            error = abs(curve.acceptance[row, n - 1] - expected)
            assert error <= 1e-12, (row, n, p, q)
            assert error <= curve.error_bound[row, n - 1] + 4e-15, (row, n, p, q)


@pytest.mark.parametrize("sampling", CONTAINED)
def test_reported_set_attains_the_value(sampling):
    for p, q in adversarial_pairs(300, seed=3):
        for n in (1, 2, 3):
            solution = bounds.solve(p, q, n, sampling)
            mask = (1 << solution.subset).sum()
            attained = 1.0 + p[solution.subset].sum() - CONTAINED[sampling](q, n)[mask]
            assert attained == pytest.approx(solution.acceptance, abs=1e-12)
            assert solution.containment == pytest.approx(CONTAINED[sampling](q, n)[mask], abs=1e-12)


@pytest.mark.parametrize("sampling", CONTAINED)
def test_containment_of_any_set_equals_enumeration(sampling):
    for _, q in adversarial_pairs(60, seed=4, max_vocab=5):
        for n in (1, 2, 3, 4):
            expected = CONTAINED[sampling](q, n)
            for mask, members in enumerate(memberships(len(q)).astype(bool)):
                found = bounds.containment(q, members, n, sampling)
                assert found == pytest.approx(expected[mask], abs=1e-12), (q, n, members)


def test_independent_drafts_equal_brute_force():
    rng = np.random.default_rng(5)
    for case in range(CASES):
        vocab_size, num_drafts = int(rng.integers(1, 7)), int(rng.integers(1, 5))
        p = adversarial_row(rng, case, vocab_size)
        q = [adversarial_row(rng, int(rng.integers(9)), vocab_size) for _ in range(num_drafts)]
        if case % 10 == 0:
            q = [p] * num_drafts
        curve = bounds.solve_curve(p, q, num_drafts, "independent")
        for n in range(1, num_drafts + 1):
            expected = brute_force_acceptance(p, contained_independent(q[:n]))
            error = abs(curve.acceptance[0, n - 1] - expected)
            assert error <= 1e-12, (p, q, n)
            assert error <= curve.error_bound[0, n - 1] + 4e-15, (p, q, n)
            attained = 1.0 + curve.target_mass[0, n - 1] - curve.containment[0, n - 1]
            assert attained == pytest.approx(expected, abs=1e-12)


def test_identical_independent_drafts_are_drafts_with_replacement():
    for p, q in adversarial_pairs(300, seed=6):
        independent = bounds.acceptance_curve(p, [q] * 3, 3, "independent")
        np.testing.assert_allclose(independent, bounds.acceptance_curve(p, q, 3), atol=1e-13)


def test_error_bound_holds_in_rational_arithmetic():
    for p, q in adversarial_pairs(400, seed=7, max_vocab=5):
        curve = bounds.solve_curve(p, q, MAX_DRAFTS)
        for n in range(1, MAX_DRAFTS + 1):
            exact = exact_acceptance_with_replacement(p, q, n)
            error = abs(float(curve.acceptance[0, n - 1] - exact))
            assert error <= curve.error_bound[0, n - 1], (p, q, n)


def test_published_rational_optima():
    two = bounds.optimal_acceptance([0.618, 0.354, 0.028], [0.373, 0.58, 0.047], 2)
    three = bounds.optimal_acceptance([0.469, 0.124, 0.407], [0.201, 0.275, 0.524], 3)
    assert two == pytest.approx(988871 / 1000000, abs=1e-15)
    assert three == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("sampling", [*CONTAINED, "independent"])
def test_all_drafts_above_the_support(sampling):
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.5, 0.0])
    draft = [q] * 7 if sampling == "independent" else q
    curve = bounds.acceptance_curve(p, draft, 7, sampling)
    if sampling in ("without_replacement", "greedy"):
        assert curve[1:] == pytest.approx(0.5, abs=1e-15)
    assert (curve <= 0.5 + 1e-15).all()
    assert (np.diff(curve) >= -1e-15).all()


def test_single_draft_is_the_overlap_for_every_law():
    for p, q in adversarial_pairs(200, seed=8):
        overlap = np.minimum(p, q).sum()
        for sampling in bounds.SAMPLING_LAWS:
            draft = [q] if sampling == "independent" else q
            found = bounds.optimal_acceptance(p, draft, 1, sampling)
            assert found == pytest.approx(overlap, abs=1e-14)


@pytest.mark.parametrize("sampling", [*CONTAINED, "independent"])
def test_read_only_arrays_and_single_rows_against_a_batch(sampling):
    pairs = list(adversarial_pairs(6, seed=9, max_vocab=5))
    target = pad([p for p, _ in pairs], 5)
    q = pad([pairs[0][1]], 5)[0]
    expected = [
        bounds.acceptance_curve(p, [q] * 3 if sampling == "independent" else q, 3, sampling)
        for p in target
    ]
    target.setflags(write=False)
    q.setflags(write=False)
    draft = [q] * 3 if sampling == "independent" else q
    found = bounds.acceptance_curve(target, draft, 3, sampling)
    np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("sampling", ["without_replacement", "greedy"])
def test_masses_too_small_to_renormalise_by_are_refused(sampling):
    with pytest.raises(InvalidDistributionError, match="draft row 0: the probability of token 0"):
        bounds.solve_curve([0.25] * 4, [2e-310, 1.0, 0.0, 0.0], 3, sampling)


def test_logits_never_make_such_masses():
    logits = np.array([0.0, -72.0, -71.0, -67.9])
    for dtype in (np.float64, np.float32):
        q = bounds.distribution_from_logits(logits.astype(dtype), 0.1)
        assert np.count_nonzero(q) == 2
        found = bounds.acceptance_curve_from_logits(
            np.zeros(4, dtype), logits.astype(dtype), 3, "without_replacement",
            temperature=1.0, draft_temperature=0.1,
        )  # fmt: skip
        np.testing.assert_allclose(found, [0.25, 0.5, 0.5], atol=1e-14)


def test_half_precision_logits_are_warped_in_double():
    logits = np.array([10.0, -3.3, 9.97], dtype=np.float16)
    expected = bounds.distribution_from_logits(logits.astype(np.float64))
    np.testing.assert_allclose(bounds.distribution_from_logits(logits), expected, rtol=1e-14)
