"""K-SEQ with the rho for membership: its rates in fractions over all lists, and against k_seq's."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import prod

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.schemes.k_seq_membership import best_rho
from tests.hard_rows import random_distribution


def membership(p: list[Fraction], q: list[Fraction], n: int, rho: Fraction) -> Fraction:
    """P(output is drafted) over every list of drafts, tests and residual written out."""
    size = range(len(p))
    passes = [min(Fraction(1), p[x] / (rho * q[x])) if q[x] else Fraction(0) for x in size]
    beta = sum(q[x] * passes[x] for x in size)
    share = (1 - (1 - beta) ** n) / beta
    left = [p[x] - q[x] * passes[x] * share for x in size]
    assert min(left) > -Fraction(1, 10**12)
    total = sum(left)
    found = Fraction(0)
    for drafted in itertools.product([x for x in size if q[x]], repeat=n):
        mass = prod(q[x] for x in drafted)
        fails = prod(1 - passes[x] for x in drafted)
        residual = sum(left[x] for x in set(drafted)) / total if total else Fraction(0)
        found += mass * (1 - fails + fails * residual)
    return found


def test_the_case_that_two_definitions_differ_on() -> None:
    p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
    published = schemes.get("k_seq").acceptance(p, q, 3)
    ours = schemes.get("k_seq_membership").acceptance(p, q, 3)
    assert published.membership == pytest.approx(0.8585, abs=5e-5)
    assert ours.membership == pytest.approx(0.8778, abs=5e-5)
    assert ours.accept < published.accept
    assert best_rho(np.array(p), np.array(q), 3) == pytest.approx(2.5, abs=1e-12)
    exact = membership(
        *([Fraction(mass, 10) for mass in row] for row in ((5, 3, 2), (2, 5, 3))),
        3,
        Fraction(5, 2),
    )
    assert ours.membership == pytest.approx(float(exact), abs=1e-14)


@pytest.mark.parametrize("seed", range(60))
def test_between_the_published_rate_and_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    p, q = (random_distribution(rng, size, decades=4, light=1e-3) for _ in range(2))
    rate = schemes.get("k_seq_membership").acceptance(p, q, n)
    assert rate.membership >= schemes.get("k_seq").acceptance(p, q, n).membership - 1e-12
    assert rate.membership <= bounds.optimal_acceptance(p, q, n) + 1e-12
    rho = best_rho(p, q, n)
    fractions = [[Fraction(mass) / sum(map(Fraction, row)) for mass in row] for row in (p, q)]
    if n > 1 and np.minimum(p, q).sum() > 0.0:
        exact = float(membership(*fractions, n, Fraction(rho)))
        assert rate.membership == pytest.approx(exact, abs=1e-9)
        for other in np.linspace(rho, 3.0 * rho, 7)[1:]:
            assert float(membership(*fractions, n, Fraction(other))) <= exact + 1e-9


def test_it_often_pays() -> None:
    gains = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p, q = rng.dirichlet(np.ones(3), size=2)
        both = [
            schemes.get(name).acceptance(p, q, 3).membership
            for name in ("k_seq_membership", "k_seq")
        ]
        gains.append(both[0] - both[1])
    assert min(gains) > -1e-12
    assert 5 < sum(gain > 1e-6 for gain in gains) < 150
