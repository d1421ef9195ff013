"""What holds between schemes and bounds for every pair of distributions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbound import bounds, schemes
from tests.oracles import schemes as oracles

ROUNDING = 1e-12
MAX_DRAFTS = 6

Pair = tuple[np.ndarray, np.ndarray]


@st.composite
def distribution_pairs(draw: st.DrawFn) -> Pair:
    size = draw(st.integers(2, 12))
    weight = st.one_of(
        st.just(0.0), st.integers(1, 5).map(float), st.floats(-9.0, 0.0).map(lambda x: 10.0**x)
    )
    rows = []
    for _ in range(2):
        row = np.array(draw(st.lists(weight, min_size=size, max_size=size)))
        row[draw(st.integers(0, size - 1))] += 1.0
        rows.append(row / row.sum())
    return rows[0], rows[1]


def curve(name: str, pair: Pair) -> np.ndarray:
    rate = schemes.get(name).acceptance_curve(*pair, MAX_DRAFTS)
    assert not np.any(rate.standard_error)
    return np.asarray(rate.membership)


def below(lower: np.ndarray, upper: np.ndarray) -> None:
    assert (lower <= upper + ROUNDING).all(), (lower - upper).max()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(distribution_pairs())
def test_order_of_schemes_and_bounds(pair: Pair) -> None:
    with_replacement = bounds.acceptance_curve(*pair, MAX_DRAFTS)
    without = bounds.acceptance_curve(*pair, MAX_DRAFTS, "without_replacement")
    nss, first, rrs, k_seq = (
        curve(s, pair) for s in ("nss", "first_draft", "rrs_with_replacement", "k_seq")
    )
    gumbel = curve("gumbel_list", pair)
    below(nss, rrs)
    below(first, rrs)
    below(rrs, k_seq)
    below(k_seq, with_replacement)
    below(with_replacement, without)
    below(nss, gumbel)
    below(gumbel, with_replacement)
    for rates in (rrs, k_seq, gumbel, nss, first):
        below(rates[:-1], rates[1:])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distribution_pairs())
def test_drafts_without_replacement(pair: Pair) -> None:
    scheme = schemes.get("rrs_without_replacement", max_exact_paths=1 << 16)
    rate = scheme.acceptance_curve(*pair, 4)
    exact = np.asarray(rate.standard_error) == 0.0
    rates = np.asarray(rate.membership)[exact]
    assert exact[:2].all()
    below(curve("rrs_with_replacement", pair)[:4][exact], rates)
    below(rates, bounds.acceptance_curve(*pair, 4, "without_replacement")[exact])
    below(rates[:-1], rates[1:])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(distribution_pairs())
def test_greedy_and_spechub_attain_their_bound(pair: Pair) -> None:
    bound = bounds.acceptance_curve(*pair, MAX_DRAFTS, "greedy")
    greedy = curve("greedy", pair)
    assert greedy == pytest.approx(bound, abs=ROUNDING)
    hub = schemes.get("spechub").acceptance(*pair, 2)
    assert hub.membership == pytest.approx(greedy[1], abs=ROUNDING)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(distribution_pairs(), st.integers(2, 4))
def test_importance_sampling_below_its_bound(pair: Pair, n: int) -> None:
    rate = schemes.get("importance_sampling").acceptance(*pair, n)
    assert rate.standard_error == 0.0
    assert rate.accept <= rate.membership + ROUNDING
    assert rate.membership <= bounds.optimal_acceptance(*pair, n) + ROUNDING


def test_one_draft_is_the_same_everywhere() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        p, q = rng.dirichlet(np.full(6, 0.5), size=2)
        optimum = bounds.optimal_acceptance(p, q, 1)
        for name in schemes.names():
            if schemes.get(name).supports(1) and name not in ("nss", "gumbel_list"):
                rate = schemes.get(name).acceptance(p, q, 1)
                assert rate.membership == pytest.approx(optimum, abs=ROUNDING), name


@pytest.mark.parametrize("first", [Fraction(1, 3), Fraction(1, 6)])
def test_figure_2_of_khisti_et_al(first: Fraction) -> None:
    """Vocabulary of 3, uniform draft, two drafts: optimal, SpecTr and SpecInfer over x."""
    draft = (Fraction(1, 3),) * 3
    law = oracles.with_replacement_law(draft, 2)
    for step in range(25):
        x = (1 - first) * step / 24
        target = (first, x, 1 - first - x)
        p, q = np.array([float(y) for y in target]), np.full(3, 1 / 3)
        optimum = oracles.optimum(target, law)
        assert bounds.optimal_acceptance(p, q, 2) == pytest.approx(float(optimum), abs=ROUNDING)
        everything = all(Fraction(1, 9) <= mass <= Fraction(5, 9) for mass in target)
        assert (optimum == 1) == everything
        spec_infer = oracles.enumerate_scheme(
            law, oracles.recursive_rejection(target, draft, with_replacement=True)
        ).membership
        rho = oracles.optimal_rho(target, draft, 2)
        spec_tr = oracles.enumerate_scheme(law, oracles.k_seq(target, draft, 2, rho)).membership
        assert curve_value("rrs_with_replacement", p, q) == pytest.approx(float(spec_infer))
        assert curve_value("k_seq", p, q) == pytest.approx(float(spec_tr))
        assert curve_value("importance_sampling", p, q) == pytest.approx(float(optimum))
        assert spec_infer <= spec_tr + Fraction(1, 10**15)
        assert spec_tr <= optimum + Fraction(1, 10**15)


def curve_value(name: str, p: np.ndarray, q: np.ndarray) -> float:
    return float(schemes.get(name).acceptance(p, q, 2).membership)
