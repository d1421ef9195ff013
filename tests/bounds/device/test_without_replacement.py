"""Without replacement on a device for n >= 3: against enumeration, and the CPU's search."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mdbound import bounds
from tests.hard_rows import adversarial_pairs
from tests.oracles.acceptance_over_all_sets import (
    brute_force_acceptance,
    contained_without_replacement,
)

torch = pytest.importorskip("torch")

LAW = "without_replacement"


def tensors(*arrays):
    return [torch.tensor(np.asarray(array), dtype=torch.float64) for array in arrays]


@pytest.mark.parametrize("num_drafts", [3, 4, 6])
def test_against_every_subset(num_drafts):
    for p, q in adversarial_pairs(120, seed=num_drafts, max_vocab=6):
        expected = brute_force_acceptance(p, contained_without_replacement(q, num_drafts))
        found = bounds.optimal_acceptance(*tensors(p, q), num_drafts, LAW)
        assert found == pytest.approx(expected, abs=1e-12)


def wide_rows(rng, rows, vocab_size):
    """Rows whose masses span many decades, with ties, zeros and tokens that are nearly all."""
    target, draft = rng.gamma(0.05, size=(2, rows, vocab_size)) + 1e-300
    draft[0] = 10.0 ** rng.uniform(-280, 0, vocab_size)
    draft[1] = 10.0 ** rng.uniform(-12, 0, vocab_size)
    draft[2] = np.ones(vocab_size)
    draft[3] = rng.integers(0, 3, vocab_size)
    draft[4, 7] = 1e17
    target[5] = draft[5]
    target[6] = 10.0 ** rng.uniform(-280, 0, vocab_size)
    draft[6] = 10.0 ** rng.uniform(-280, 0, vocab_size)
    draft[7] = 0.0
    draft[7, :5] = [1.0, 1e-3, 1e-100, 1e-200, 1e-290]
    return tuple(rows / rows.sum(axis=1, keepdims=True) for rows in (target, draft))


@pytest.mark.parametrize(("vocab_size", "max_drafts"), [(20, 5), (300, 8), (1500, 4), (300, 12)])
def test_rows_over_many_decades(vocab_size, max_drafts):
    p, q = wide_rows(np.random.default_rng(vocab_size), 9, vocab_size)
    expected = bounds.solve_curve(p, q, max_drafts, LAW)
    found = bounds.solve_curve(*tensors(p, q), max_drafts, LAW)
    np.testing.assert_allclose(found.acceptance, expected.acceptance, rtol=0, atol=1e-13)
    gap = found.target_mass - found.containment - (found.acceptance - 1.0)
    assert float(gap.abs().max()) < 1e-15
    assert float(found.error_bound.max()) < 1e-12


def test_containment_of_any_prefix():
    from mdbound.bounds.device.clocks import ClockRows, clock_nodes

    _, q = wide_rows(np.random.default_rng(0), 9, 260)
    q = -np.sort(-q, axis=1)  # zeros last
    (rates,) = tensors(q)
    clocks = ClockRows(rates, clock_nodes(rates, 6), 6)
    for row in range(9):
        sizes = [size for size in (3, 4, 10, 100, 256, 259) if (q[row] > 0.0).sum() > size]
        found = clocks.contained(torch.tensor([row] * len(sizes)), torch.tensor(sizes))
        for size, values in zip(sizes, found, strict=True):
            for n in range(3, 7):
                expected = bounds.containment(q[row], np.arange(size), n, LAW)
                assert float(values[n - 1]) == pytest.approx(expected, abs=5e-14) or size < n


def test_rows_that_do_not_fit_in_one_table(monkeypatch):
    from mdbound.bounds.device import clocks as torch_clocks
    from mdbound.bounds.device import without_replacement as torch_without_replacement

    p, q = wide_rows(np.random.default_rng(1), 9, 300)
    expected = bounds.acceptance_curve(*tensors(p, q), 5, LAW)
    monkeypatch.setattr(torch_without_replacement, "TABLE_ENTRIES", 2**18)
    monkeypatch.setattr(torch_clocks, "WORKING_ENTRIES", 2**14)
    found = bounds.acceptance_curve(*tensors(p, q), 5, LAW)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("spread", [0.3, 3.0, 8.0])
def test_a_real_vocabulary(spread):
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, spread, (3, 32_000)).astype(np.float32)
    draft = (target + rng.normal(0.0, spread / 3, target.shape)).astype(np.float32)
    expected = bounds.acceptance_curve_from_logits(target, draft, 8, LAW)
    found = bounds.acceptance_curve_from_logits(torch.tensor(target), torch.tensor(draft), 8, LAW)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def worst_of_equal_tokens(monkeypatch, **changes) -> float:
    """Largest error of F_n of prefixes of equal tokens, which are C(H, n) / C(V, n)."""
    from mdbound.bounds.device import clocks
    from mdbound.bounds.numerics.clock_quadrature import clock_quadrature

    monkeypatch.setattr(
        clocks, "clock_quadrature", lambda n: clock_quadrature(n)._replace(**changes)
    )
    worst = 0.0
    for vocab_size in (12, 20, 40, 80, 160, 400):
        (rates,) = tensors(np.full((1, vocab_size), 1.0 / vocab_size))
        rows = clocks.ClockRows(rates, clocks.clock_nodes(rates, 8), 8)
        for size in (9, vocab_size - 2):
            found = rows.contained(torch.tensor([0]), torch.tensor([size]))[0]
            for n in range(3, 9):
                exact = math.comb(size, n) / math.comb(vocab_size, n)
                worst = max(worst, abs(float(found[n - 1]) - exact))
    return worst


def test_power_sums_are_enough_for_the_tokens_that_count_as_light(monkeypatch):
    """The limit is that of the quadrature; one that is too large for its power sums is seen."""
    assert worst_of_equal_tokens(monkeypatch) < 4e-15
    assert worst_of_equal_tokens(monkeypatch, light_limit=64.0) > 1e-9


def light_law_error(max_drafts: int, limit: float, tokens: int) -> float:
    """Error of P(N_t < n) of equal clocks that all are as light as the limit allows, n <= N.

    One node of weight 1 is the whole rule, so that 1 - F_n is W e^(-W t) P(N_t < n).
    """
    from mdbound.bounds.device.clocks import ClockNodes, ClockRows

    rate, outside = 0.7 / tokens, 0.3
    time = limit * (1.0 - 1e-12) / rate
    (rates,) = tensors([[rate] * tokens + [outside]])
    light_rate, times, weights = tensors([limit / time], [time], [1.0])
    one, none = torch.tensor([1]), torch.tensor([0])
    nodes = ClockNodes(one, light_rate, none, times, weights, 0.0, 0.0)
    rows = ClockRows(rates, nodes, max_drafts)
    found = rows.contained(none, torch.tensor([tokens]))[0]
    worst = below = 0.0
    for n in range(max_drafts):
        rang, silent = -math.expm1(-rate * time), math.exp(-rate * time)
        below += math.comb(tokens, n) * rang**n * silent ** (tokens - n)
        kept = (1.0 - float(found[n])) / (outside * math.exp(-outside * time))
        worst = max(worst, abs(kept - below))
    return worst


@pytest.mark.parametrize("max_drafts", [3, 8, 12, 16])
def test_clocks_at_the_light_limit_have_the_binomial_law(max_drafts):
    from mdbound.bounds.numerics.clock_quadrature import clock_quadrature, token_limit

    def worst(limit):
        return max(light_law_error(max_drafts, limit, tokens) for tokens in (5, 10))

    limit, enough = clock_quadrature(max_drafts).light_limit, 2e-15
    assert worst(limit) < enough
    if max_drafts > 3:
        assert worst(token_limit(max_drafts, 32)) > enough  # as if there were 32 power sums
        assert worst(2.0 * limit) > 1e-13
