"""Draws without replacement: every prefix looked at, F to forty digits, F convex in q."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.without_replacement.law import INTEGRAL_ERROR, prefix_containment
from tests.oracles.acceptance_over_all_sets import contained_without_replacement
from tests.oracles.without_replacement_by_sorting import digits_containments, sorted_curve


@pytest.mark.parametrize("concentration", [0.02, 0.1, 1.0])
def test_no_prefix_is_better(concentration):
    rng = np.random.default_rng(1)
    target, draft = rng.dirichlet(np.full(800, concentration), 2)
    found = bounds.acceptance_curve(target, draft, 6, "without_replacement")
    np.testing.assert_allclose(found, sorted_curve(target, draft, 6), atol=1e-13)


def test_no_prefix_is_better_on_related_rows():
    rng = np.random.default_rng(2)
    logits = rng.normal(0.0, 4.0, 600)
    target = bounds.distribution_from_logits(logits)
    draft = bounds.distribution_from_logits(logits + rng.normal(0.0, 2.0, 600))
    found = bounds.acceptance_curve(target, draft, 8, "without_replacement")
    np.testing.assert_allclose(found, sorted_curve(target, draft, 8), atol=1e-13)


@pytest.mark.parametrize("decades", [1, 9, 60])
def test_integral_against_forty_digits(decades):
    rates = 10.0 ** np.random.default_rng(decades).uniform(-decades, 0.0, 40)
    with mpmath.workdps(40):
        exact = [mpmath.mpf(float(rate)) for rate in rates]
        total = mpmath.fsum(exact)
        expected = digits_containments([x / total for x in exact], 8, 0.1)
    for num_drafts in (3, 5, 8):
        for size in (num_drafts, 20, 39):
            found = prefix_containment(rates, num_drafts, size)
            assert abs(found - float(expected[size][num_drafts - 1])) <= INTEGRAL_ERROR


def test_increments_per_rate_never_fall_along_any_order():
    """q-convexity (Hu et al. 2025), which the search over prefixes rests on."""
    rng = np.random.default_rng(4)
    for case in range(300):
        vocab_size = int(rng.integers(3, 7))
        rates = rng.dirichlet(np.full(vocab_size, 0.3 if case % 2 else 2.0)) + 1e-6
        rates /= rates.sum()
        for n in (2, 3, 4):
            contained = contained_without_replacement(rates, n)
            prefixes = contained[(1 << np.arange(vocab_size + 1)) - 1]
            slopes = np.diff(prefixes) / rates
            assert (np.diff(slopes) >= -1e-9).all(), (rates, n)


def test_a_peaked_draft_does_not_cancel():
    """Q A - B in one piece loses 1e-4 here: the heaviest token has all but 1e-12."""
    draft = np.array([1.0 - 2e-12, 1e-12, 1e-12])
    assert bounds.containment(draft, [0, 1], 2, "without_replacement") == pytest.approx(
        0.5, abs=1e-12
    )
