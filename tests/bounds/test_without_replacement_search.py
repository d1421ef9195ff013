"""The bucketed search without replacement: against the sorted one, extended precision, bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.clock_quadrature import NUM_POWERS, clock_quadrature, expm1_powers
from mdbound.bounds.exponential_clocks import expm1_power_series, trapezoid_step
from mdbound.bounds.ratio_order import ratio_order
from mdbound.bounds.ring_law import FAINT_LIMIT, LIGHT_LIMIT
from mdbound.bounds.sorted_prefix_search import solve_by_sorting


def awkward_logits(rng, case):
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
        target, draft = awkward_logits(rng, case)
        num_drafts = (1, 2, 3, 5, 8)[case % 5]
        p, q = (bounds.distribution_from_logits(row) for row in (target, draft))
        expected = np.empty((5, num_drafts))
        step = trapezoid_step(max(num_drafts, 3))
        solve_by_sorting(p, q, num_drafts, step, expm1_power_series(), expected)
        found = bounds.solve_curve_from_logits(target, draft, num_drafts, "without_replacement")
        error = np.abs(found.acceptance[0] - expected[0])
        assert (error <= found.error_bound[0]).all(), case
        assert error.max() <= 1e-13, case
        attained = 1.0 + found.target_mass - found.containment
        np.testing.assert_allclose(found.acceptance, attained, atol=1e-15)


def extended_containments(rates, max_drafts, size):
    """F_1..F_N of a prefix in 64-bit mantissas: trapezoid rule in ln t, clock by clock."""
    rates = rates.astype(np.longdouble) / rates.astype(np.longdouble).sum()
    outside = rates[size:].sum()
    log_times = np.arange(-45.0, 12.0, 0.14, dtype=np.longdouble)
    times = np.exp(log_times)
    law = np.zeros((max_drafts, len(times)), dtype=np.longdouble)
    law[0] = 1.0
    for rate in rates[:size]:
        silent = np.exp(-rate * times)
        law[1:] = law[1:] * silent + law[:-1] * (1 - silent)
        law[0] *= silent
    weight = outside * times * np.exp(-outside * times) * np.longdouble(0.14)
    return 1 - (weight * np.cumsum(law, axis=0)).sum(axis=1)


def test_full_vocabulary_against_extended_precision():
    """Draft masses from 1e-9 to 1: the value at the reported prefix, and at its neighbours."""
    rng = np.random.default_rng(1)
    draft = 10.0 ** rng.uniform(-9.0, 0.0, 49_152)
    draft *= np.where(draft > 1e-3, rng.random(len(draft)) ** 6, 1.0)
    draft /= draft.sum()
    target = draft * np.exp(rng.normal(0.0, 1.0, len(draft)))
    target /= target.sum()
    curve = bounds.solve_curve(target, draft, 8, "without_replacement")
    order = ratio_order(target, draft)
    masses = np.cumsum(target[order].astype(np.longdouble))
    for n in (3, 8):
        size = int(curve.subset_size[0, n - 1])
        contained = extended_containments(draft[order], n, size)[n - 1]
        exact = float(1 + masses[size - 1] - contained)
        assert abs(curve.acceptance[0, n - 1] - exact) <= curve.error_bound[0, n - 1]
        assert abs(curve.acceptance[0, n - 1] - exact) <= 1e-14
        for other in (size - 50, size + 50):
            contained = extended_containments(draft[order], n, other)[n - 1]
            assert float(1 + masses[other - 1] - contained) >= exact - 1e-15


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


def test_power_sums_are_enough():
    """What the dropped power sums of x = rate * t could change in any P(N_t = m), m < 8."""
    orders = 80
    series = np.zeros((8, orders + 1))
    series[0, 0] = 1.0
    for k in range(1, 8):
        for r in range(k, orders + 1):
            series[k, r] = k * (series[k, r - 1] + series[k - 1, r - 1]) / r
    np.testing.assert_allclose(expm1_powers(8), series[:, : NUM_POWERS + 1], rtol=1e-13)
    # Twelve sums serve faint tokens at all nodes, and all light ones before the last 16 nodes.
    times = clock_quadrature(8).times
    earlier = LIGHT_LIMIT * (times[1:-15] / times[16:]).max()
    for limit, top in ((LIGHT_LIMIT, NUM_POWERS), (FAINT_LIMIT, 12), (earlier, 12)):
        dropped = series[:, top + 1 :] @ limit ** np.arange(top + 1.0, orders + 1)
        for count in (1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096):
            mean = count * limit
            for k in range(1, 8):
                others = max(mean**m / math.factorial(m) for m in range(8 - k))
                assert math.exp(-mean) * others * count * dropped[k] / k <= 1e-17


def test_nodes_integrate_exponentials():
    """With no clock in H the integral of W e^(-W t) is 1, down to W = 1e-10."""
    rule = clock_quadrature(8)
    for outside in 10.0 ** -np.arange(0.0, 11.0):
        total = (rule.weights * outside * np.exp(-outside * rule.times)).sum()
        total += outside * rule.early - outside**2 * rule.early_time
        assert total == pytest.approx(1.0, abs=1e-14)
