"""Certificates against exact fractions over all subsets, on hard cases and at full vocabulary."""

from __future__ import annotations

import itertools
import sys
from fractions import Fraction

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.proofs.ball_containment import BallContainment
from mdbound.bounds.proofs.certificate import CheckedInterval, make_certificate
from mdbound.bounds.proofs.exact_arithmetic import dyadic, exact_ratio_order, total
from mdbound.errors import InvalidDistributionError, InvalidSettingError, MissingDependencyError
from tests.hard_rows import random_case
from tests.oracles.drafted_tuples import DraftLaw, containment, tuple_law

LAWS = ("with_replacement", "without_replacement", "greedy", "independent")
needs_flint = pytest.mark.skipif(
    "flint" not in sys.modules and __import__("importlib").util.find_spec("flint") is None,
    reason="python-flint is not installed",
)


def exact_law(drafts: list[np.ndarray], n: int, sampling: str) -> DraftLaw:
    return tuple_law([[Fraction(value) for value in q.tolist()] for q in drafts], n, sampling)


@needs_flint
@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(40))
def test_interval_holds_the_exact_optimum(seed: int, sampling: str) -> None:
    p, drafts, n = random_case(seed, decades=60, light=1e-14)
    draft = drafts if sampling == "independent" else drafts[0]
    law = exact_law(drafts, n, sampling)
    values = {
        inside: sum((Fraction(float(p[t])) for t in range(len(p)) if inside[t]), Fraction(1))
        - containment(law, np.flatnonzero(inside).tolist())
        for inside in itertools.product([False, True], repeat=len(p))
    }
    optimum = min(values.values())
    best = min(values, key=lambda inside: (values[inside], sum(inside)))
    certificate = make_certificate(p, draft, n, sampling, np.array(best))
    assert certificate.subset(p, draft).tolist() == list(best)
    interval = certificate.check(p, draft)
    assert interval.lower <= optimum <= interval.upper
    assert interval.width <= (1e-12 if sampling == "independent" else 1e-14)
    if sampling in ("with_replacement", "greedy"):
        assert interval.lower == optimum == interval.upper
    low, high = interval.floats()
    assert Fraction(low) <= optimum <= Fraction(high)


@needs_flint
@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(10))
def test_a_wrong_set_shows_as_a_wide_interval(seed: int, sampling: str) -> None:
    """The lower bound does not depend on the set; the upper bound is the value of that set."""
    rng = np.random.default_rng(seed)
    p, q, r = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    draft = [q, r, q] if sampling == "independent" else q
    right = bounds.solve(p, draft, 3, sampling)
    wrong = p == p.max()
    good = make_certificate(p, draft, 3, sampling, right.subset).check(p, draft)
    bad = make_certificate(p, draft, 3, sampling, wrong).check(p, draft)
    assert good.error_of(right.acceptance) <= 1e-13 + right.error_bound
    assert float(abs(bad.lower - good.lower)) <= 2e-13
    assert bad.upper >= good.upper
    assert bad.error_of(right.acceptance) > 1e-3
    assert good.error_of(right.acceptance + 1e-9) > 0.9e-9


@needs_flint
@pytest.mark.parametrize("sampling", LAWS)
def test_full_vocabulary(sampling: str) -> None:
    rng = np.random.default_rng(5)
    logits = (3.0 * rng.normal(size=49_152)).astype(np.float32)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.8 * logits + rng.normal(size=49_152))
    draft = [q, p, q] if sampling == "independent" else q
    solution = bounds.solve(p, draft, 3, sampling)
    certificate = make_certificate(p, draft, 3, sampling, solution.subset)
    assert len(certificate.exceptions) <= 16
    np.testing.assert_array_equal(
        np.flatnonzero(certificate.subset(p, draft)), np.sort(solution.subset)
    )
    interval = certificate.check(p, draft)
    assert interval.error_of(solution.acceptance) <= solution.error_bound + 2e-13


@pytest.mark.parametrize("kept", [1, 7, 200])
def test_a_draft_equal_to_the_target_is_proven_on_its_flat_edge(kept: int) -> None:
    """The second draft is cut short, so every set that holds its tokens has the value 1."""
    rng = np.random.default_rng(kept)
    p = np.zeros(1_000)
    p[:kept] = rng.dirichlet(np.ones(kept))
    q = np.zeros(1_000)
    q[: kept // 3 + 2] = rng.dirichlet(np.ones(kept // 3 + 2))
    certificate = make_certificate(p, [p, q], 2, "independent", [])
    interval = certificate.check(p, [p, q])
    assert interval.upper == 1
    assert interval.width <= 2e-13


@needs_flint
@pytest.mark.parametrize("decades", [1, 30, 200])
def test_ball_containment_encloses_the_exact_value(decades: int) -> None:
    rng = np.random.default_rng(decades)
    for _ in range(12):
        size = int(rng.integers(4, 7))
        n, held = int(rng.integers(3, size)), int(rng.integers(1, size))
        q = 10.0 ** rng.uniform(-decades, 0, size)
        q /= q.sum()
        exact = containment(exact_law([q], n, "without_replacement"), range(held))
        low, high = BallContainment(q, n).enclose(slice(0, held))
        assert low <= exact <= high
        assert high - low <= 1e-14


def test_exact_sums_and_order() -> None:
    values = np.array([0.1, 5e-324, 1e300, 0.0, 2.0**-1060 * 3])
    whole, exponent = dyadic(values)
    for m, value in zip(whole, values.tolist(), strict=True):
        assert Fraction(m) / Fraction(2) ** exponent == Fraction(value)
    assert total(values) == sum(map(Fraction, values.tolist()))
    assert total(np.zeros(3)) == 0
    # Quotients that round to the same float64, in the wrong order.
    p = np.array([0.3, np.nextafter(0.3, 0.0), 0.1])
    q = np.array([0.1, 0.1, 0.1 / 3])
    order = exact_ratio_order(p, q)
    ratios = [Fraction(p[t]) / Fraction(q[t]) for t in order.tolist()]
    assert ratios == sorted(ratios)


def test_error_of_rounds_up() -> None:
    third = CheckedInterval(Fraction(1, 3), Fraction(1, 3))
    assert Fraction(third.error_of(1 / 3)) >= abs(Fraction(1 / 3) - Fraction(1, 3))
    assert third.width == 0.0


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    p, q = np.array([0.5, 0.25, 0.125, 0.125]), np.full(4, 0.25)
    with pytest.raises(InvalidSettingError, match="outside the vocabulary of 4"):
        make_certificate(p, q, 2, "with_replacement", [4])
    certificate = make_certificate(p, q, 3, "without_replacement", [2, 3])
    with pytest.raises(InvalidDistributionError, match="is for 4"):
        certificate.check([0.5, 0.5], [0.5, 0.5])
    with pytest.raises(InvalidDistributionError, match="one position, not 2 rows"):
        make_certificate(np.stack([p, p]), q, 2, "greedy", [0])
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(MissingDependencyError, match=r"mdbound\[certificates\]"):
        certificate.check(p, q)
    pairs = make_certificate(p, q, 2, "without_replacement", [])
    assert pairs.check(p, q).lower <= 1
