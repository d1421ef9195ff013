"""The integral over exponential clocks and the search over prefixes, beyond enumeration."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.without_replacement.law import INTEGRAL_ERROR, prefix_containment
from mdbound.bounds.numerics.exponential_clocks import trapezoid_step
from mdbound.bounds.numerics.ratio_order import ratio_order
from tests.oracles.clock_table import clock_table, containment_step, expm1_power_series
from tests.oracles.optimum import contained_without_replacement


def steps(table, size, max_drafts):
    before, after, slope = (np.zeros(max_drafts + 1) for _ in range(3))
    step = trapezoid_step(max_drafts)
    containment_step(table, size, max_drafts, step, expm1_power_series(), before, after, slope)
    return before, after, slope


def full_scan(target, draft, max_drafts):
    """p(H) - F_n(H) of every prefix, one integral each: no search."""
    order = ratio_order(target, draft)
    rates = draft[order] / draft[order].sum()
    table = clock_table(rates)
    masses = np.concatenate([[0.0], np.cumsum(target[order])])
    best = np.zeros(max_drafts + 1)
    for size in range(len(order)):
        before, after, _ = steps(table, size, max_drafts)
        best = np.minimum(best, masses[size] - before)
        best = np.minimum(best, masses[size + 1] - after)
    return 1.0 + best[3:]


@pytest.mark.parametrize("concentration", [0.02, 0.1, 1.0])
def test_search_over_prefixes_misses_nothing(concentration):
    rng = np.random.default_rng(1)
    target, draft = rng.dirichlet(np.full(800, concentration), 2)
    found = bounds.acceptance_curve(target, draft, 6, "without_replacement")
    np.testing.assert_allclose(found[2:], full_scan(target, draft, 6), atol=1e-13)


def test_search_over_prefixes_on_related_rows():
    rng = np.random.default_rng(2)
    logits = rng.normal(0.0, 4.0, 600)
    target = bounds.distribution_from_logits(logits)
    draft = bounds.distribution_from_logits(logits + rng.normal(0.0, 2.0, 600))
    found = bounds.acceptance_curve(target, draft, 8, "without_replacement")
    np.testing.assert_allclose(found[2:], full_scan(target, draft, 8), atol=1e-13)


def high_precision_containment(rates, num_drafts, size):
    """The integral with 40 digits, the ring law by direct recursion over all clocks in H."""
    with mpmath.workdps(40):
        q = [mpmath.mpf(float(rate)) for rate in rates]
        total = mpmath.fsum(q)
        inside = [x / total for x in q[:size]]
        outside = mpmath.fsum(q[size:]) / total

        def integrand(u):
            t = mpmath.exp(u)
            law = [mpmath.mpf(1)] + [mpmath.mpf(0)] * (num_drafts - 1)
            for rate in inside:
                rung = -mpmath.expm1(-rate * t)
                for m in range(num_drafts - 1, 0, -1):
                    law[m] = law[m] * (1 - rung) + law[m - 1] * rung
                law[0] *= 1 - rung
            return outside * t * mpmath.exp(-outside * t) * mpmath.fsum(law)

        step = mpmath.mpf("0.1")
        low, high = -80, 6 - int(mpmath.log(outside))
        nodes = range(int(low / step), int(high / step) + 1)
        return float(1 - step * mpmath.fsum(integrand(step * k) for k in nodes))


@pytest.mark.parametrize("num_drafts", [3, 5, 8])
@pytest.mark.parametrize("decades", [1, 9, 60])
def test_integral_against_forty_digits(num_drafts, decades):
    rng = np.random.default_rng(decades)
    rates = 10.0 ** rng.uniform(-decades, 0.0, 40)
    for size in (num_drafts, 20, 39):
        found = prefix_containment(rates, num_drafts, size)
        expected = high_precision_containment(rates, num_drafts, size)
        assert abs(found - expected) <= INTEGRAL_ERROR


def test_slope_is_the_increment_per_unit_of_rate():
    rng = np.random.default_rng(3)
    rates = rng.dirichlet(np.full(6, 0.5))
    table = clock_table(rates)
    for size in range(6):
        before, after, slope = steps(table, size, 4)
        for n in (3, 4):
            contained = contained_without_replacement(rates, n)
            low, high = contained[(1 << size) - 1], contained[(1 << size + 1) - 1]
            assert before[n] == pytest.approx(low, abs=1e-13)
            assert after[n] == pytest.approx(high, abs=1e-13)
            assert slope[n] * rates[size] == pytest.approx(high - low, abs=1e-13)


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


def test_trapezoid_step_meets_its_bound():
    for n in (3, 5, 8, 16):
        step = trapezoid_step(n)
        angle = np.linspace(0.5, np.pi / 2 - 1e-3, 5000)
        bound = 2.0 * np.cos(angle) ** -n / np.expm1(2.0 * np.pi * angle / step)
        assert bound.min() <= 2.1e-16
