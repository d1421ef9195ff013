"""Rates at a real vocabulary size against direct formulas, and the estimates' stated errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.schemes.rrs_without_replacement import RRSWithoutReplacement

V = 151_936


def softmax_pair(seed: int, spread: float, vocab_size: int = V) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = spread * rng.normal(size=vocab_size)
    draft = 0.8 * target + 0.5 * spread * rng.normal(size=vocab_size)
    return bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)


def exact_residual(p: np.ndarray, q: np.ndarray, a: float) -> float:
    return math.fsum(np.maximum(p - a * q, 0.0))


@pytest.mark.parametrize("spread", [0.5, 3.0, 12.0])
def test_closed_rates(spread: float) -> None:
    p, q = softmax_pair(1, spread)
    overlap = math.fsum(np.minimum(p, q))
    assert schemes.get("single_draft").acceptance(p, q, 1).membership == pytest.approx(
        overlap, abs=1e-14
    )
    nss = math.fsum(-p * np.expm1(4 * np.log1p(-q)))
    assert schemes.get("nss").acceptance(p, q, 4).membership == pytest.approx(nss, abs=1e-14)
    hits = math.fsum(-np.maximum(p - q, 0.0) * np.expm1(3 * np.log1p(-q)))
    first = schemes.get("first_draft").acceptance(p, q, 4)
    assert first.accept == pytest.approx(overlap, abs=1e-14)
    assert first.membership == pytest.approx(overlap + hits, abs=1e-14)
    a, z = 0.0, 1.0
    for n in range(1, 9):
        a += z
        z = exact_residual(p, q, a)
        rate = schemes.get("rrs_with_replacement").acceptance(p, q, n)
        assert rate.membership == pytest.approx(1.0 - z, abs=1e-14)
    hub = int(q.argmax())
    rest = np.delete(q, hub)
    two = p[hub] + math.fsum(np.minimum(np.delete(p, hub), rest / math.fsum(rest)))
    for name in ("greedy", "spechub"):
        assert schemes.get(name).acceptance(p, q, 2).membership == pytest.approx(two, abs=1e-14)


@pytest.mark.parametrize("spread", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_k_seq_solves_its_equation(spread: float, n: int) -> None:
    from mdbound.schemes.rates.k_seq_rho import optimal_rho

    p, q = softmax_pair(2, spread)
    rho = optimal_rho(p, q, n)
    beta = math.fsum(np.minimum(p / rho, q))
    accept = schemes.get("k_seq").acceptance(p, q, n).accept
    assert 1.0 <= rho <= n
    assert accept == pytest.approx(1.0 - (1.0 - beta) ** n, abs=1e-13)
    assert accept == pytest.approx(rho * beta, abs=1e-13)


def test_nothing_exceeds_its_bound_at_full_vocabulary() -> None:
    p, q = softmax_pair(3, 4.0)
    for name in schemes.names():
        scheme = schemes.get(name)
        for n in (1, 2, 3):
            if name != "gumbel_list" and scheme.supports(n):
                rate = scheme.acceptance(p, q, n)
                bound = bounds.optimal_acceptance(p, q, n, scheme.sampling)
                slack = 1e-12 + 4.0 * float(rate.standard_error)
                assert rate.accept <= rate.membership <= bound + slack, (name, n)


def test_two_drafts_without_replacement_by_the_double_sum() -> None:
    p, q = softmax_pair(4, 3.0, vocab_size=800)
    z1 = exact_residual(p, q, 1.0)
    lost = [
        (q[x] - p[x]) / z1 * exact_residual(p, q, 1.0 + z1 / math.fsum(np.delete(q, x)))
        for x in np.flatnonzero(q > p)
    ]
    rate = schemes.get("rrs_without_replacement").acceptance(p, q, 2)
    assert rate.standard_error == 0.0
    assert rate.membership == pytest.approx(1.0 - math.fsum(lost), abs=1e-13)


def test_nearly_all_draft_mass_on_one_token() -> None:
    """1 - q(rejected) must not cancel: the second draft decides everything."""
    tail = 1e-13
    q = np.array([1.0 - 3 * tail, 2 * tail, tail])
    p = np.array([0.1, 0.3, 0.6])
    rate = schemes.get("rrs_without_replacement").acceptance(p, q, 2)
    # The first draft is rejected with probability 0.9; then (2/3, 1/3) meets (1/3, 2/3).
    assert rate.membership == pytest.approx(0.1 + 0.9 * (2 / 3), abs=1e-11)


def test_estimated_rates_agree_with_the_exact_ones() -> None:
    scores = []
    for seed in range(12):
        p, q = softmax_pair(seed, 2.0, vocab_size=40)
        exact = RRSWithoutReplacement(max_exact_paths=1 << 20).acceptance_curve(p, q, 4)
        rough = RRSWithoutReplacement(max_exact_paths=0, paths=1000).acceptance_curve(p, q, 4)
        assert not exact.standard_error.any()
        assert (rough.standard_error[:2] == 0.0).all()
        assert (rough.standard_error[2:] > 0.0).all()
        difference = rough.membership[2:] - exact.membership[2:]
        scores.extend(difference / rough.standard_error[2:])
    assert np.abs(scores).max() < 4.0
    assert 0.3 < np.std(scores) < 2.0


def test_estimates_are_fixed_by_their_seed_and_the_row() -> None:
    p, q = softmax_pair(7, 2.0, vocab_size=300)
    scheme = RRSWithoutReplacement(max_exact_paths=0)
    first = scheme.acceptance(p, q, 4)
    assert first == scheme.acceptance(p, q, 4)
    assert first.seed == 0
    batch = scheme.acceptance(np.stack([q, p]), np.stack([p, q]), 4)
    assert batch.membership[1] == first.membership
    other = RRSWithoutReplacement(max_exact_paths=0, seed=1).acceptance(p, q, 4)
    assert other.seed == 1
    assert other.membership != first.membership
    assert other.membership == pytest.approx(first.membership, abs=8 * first.standard_error)


def test_more_drafts_than_tokens_need_no_estimate() -> None:
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.7, 0.2, 0.1, 0.0])
    curve = RRSWithoutReplacement(max_exact_paths=0).acceptance_curve(p, q, 6)
    assert curve.membership[2:].tolist() == pytest.approx([0.9] * 4, abs=1e-15)
    assert not curve.standard_error[2:].any()
