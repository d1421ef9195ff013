"""The bucketed search without replacement: against the sorted one, extended precision, bounds."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.canonical.prefix_increments import without_replacement_increments
from mdbound.bounds.laws.without_replacement.fluid_arrivals import arrival_shares, arrival_space
from mdbound.bounds.laws.without_replacement.law import prefix_containment
from mdbound.bounds.laws.without_replacement.ring_law import (
    add_heavy,
    add_tokens,
    large_tokens,
    ring_nodes,
)
from mdbound.bounds.numerics.clock_quadrature import (
    FAINT_POWERS,
    KERNEL_DRAFTS,
    NUM_POWERS,
    clock_quadrature,
    expm1_powers,
)
from mdbound.bounds.numerics.ratio_order import ratio_order
from tests.oracles.optimum import adversarial_pairs, exact_acceptance_without_replacement
from tests.oracles.sorted_prefix_search import sorted_solution


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
        expected = sorted_solution(p, q, num_drafts)
        found = bounds.solve_curve_from_logits(target, draft, num_drafts, "without_replacement")
        error = np.abs(found.acceptance[0] - expected[0])
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
        expected = sorted_solution(p, q, num_drafts)
        found = bounds.solve_curve(p, q, num_drafts, "without_replacement")
        error = np.abs(found.acceptance[0] - expected[0])
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
    expected = sorted_solution(p, q, 3)
    error = np.abs(found.acceptance[0] - expected[0])
    assert (error <= found.error_bound[0]).all()


def test_fluid_polynomial_bounds_what_tokens_add():
    """F_n after adding tokens is at most the polynomial, and meets it for vanishing ones."""
    rng = np.random.default_rng(7)
    rule = clock_quadrature(8)
    for case in range(20):
        rates = rng.dirichlet(np.full(60, (0.2, 1.0)[case % 2]))
        shares = prefix_shares(rule, rates, 20)
        assert np.allclose(shares[1:].sum(axis=1), 1.0, atol=1e-13)
        assert (shares >= -1e-14).all()
        outside = rates[20:].sum()
        for size in range(20, 60):
            part = rates[20:size].sum() / outside
            for n in range(1, 9):
                bound = np.polynomial.polynomial.polyval(part, shares[n, : n + 1])
                assert prefix_containment(rates, n, size) <= bound + 1e-13
        pieces = np.concatenate([rates[:20], np.full(20_000, outside / 20_000)])
        for n in (2, 8):
            bound = np.polynomial.polynomial.polyval(0.5, shares[n, : n + 1])
            assert prefix_containment(pieces, n, 20 + 10_000) == pytest.approx(bound, abs=2e-3)


def prefix_shares(rule, rates, size):
    nodes = ring_nodes(rule, rates)
    count = nodes.grid.shape[1]
    places = np.empty(len(rates) + 1, dtype=np.int64)
    large = places[: large_tokens(rates, nodes.faint_rate, places)]
    sums, heavy, law = np.zeros(NUM_POWERS + 1), np.empty(len(rates)), np.zeros((8, count))
    law[0] = 1.0
    found = add_tokens(nodes, rates, large, 0, size, sums, heavy, 0)
    add_heavy(nodes.grid, heavy[:found], law)
    shares, slope = np.zeros((9, 9)), np.zeros(9)
    space = arrival_space(8, count)
    arrival_shares(nodes, law, sums, rates[size:].sum(), space, shares, slope)
    return shares


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


@pytest.mark.parametrize("max_drafts", [8, 9, 20])
def test_power_sums_are_enough(max_drafts):
    """What the dropped power sums of x = rate * t could change in any P(N_t = m), m < N."""
    orders = 80
    series = np.zeros((max_drafts, orders + 1))
    series[0, 0] = 1.0
    for k in range(1, max_drafts):
        for r in range(k, orders + 1):
            series[k, r] = k * (series[k, r - 1] + series[k - 1, r - 1]) / r
    np.testing.assert_allclose(expm1_powers(max_drafts), series[:, : NUM_POWERS + 1], rtol=1e-13)
    rule = clock_quadrature(max_drafts)
    limits = [(rule.light_limit, NUM_POWERS), (rule.faint_limit, FAINT_POWERS)]
    if max_drafts == KERNEL_DRAFTS:  # all light tokens are faint before the last 16 nodes
        earlier = rule.light_limit * (rule.times[1:-15] / rule.times[16:]).max()
        assert earlier <= rule.faint_limit
    for limit, top in limits:
        dropped = series[:, top + 1 :] @ limit ** np.arange(top + 1.0, orders + 1)
        for count in (1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096):
            mean = count * limit
            for k in range(1, max_drafts):
                others = max(mean**m / math.factorial(m) for m in range(max_drafts - k))
                assert math.exp(-mean) * others * count * dropped[k] / k <= 1e-17


def test_nodes_integrate_exponentials():
    """With no clock in H the integral of W e^(-W t) is 1, down to W = 1e-10."""
    rule = clock_quadrature(8)
    for outside in 10.0 ** -np.arange(0.0, 11.0):
        total = (rule.weights * outside * np.exp(-outside * rule.times)).sum()
        total += outside * rule.early - outside**2 * rule.early_time
        assert total == pytest.approx(1.0, abs=1e-14)
