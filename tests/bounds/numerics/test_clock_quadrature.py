"""Nodes and power sums of the integral over exponential clocks."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from mdbound.bounds.numerics.clock_quadrature import (
    FAINT_POWERS,
    KERNEL_DRAFTS,
    NUM_POWERS,
    clock_quadrature,
    expm1_powers,
)


def surjections(r, k):
    """k! S(r, k): ways to map r things onto all of k, by inclusion and exclusion."""
    return sum((-1) ** (k - j) * math.comb(k, j) * j**r for j in range(k + 1))


def test_series_are_stirling_numbers():
    """(e^x - 1)^k = k! times the sum over r of S(r, k) x^r / r!, exactly."""
    series = expm1_powers(20)
    for k in range(20):
        for r in range(NUM_POWERS + 1):
            exact = Fraction(surjections(r, k), math.factorial(r))
            assert series[k, r] == pytest.approx(float(exact), rel=1e-13), (k, r)
    assert surjections(4, 2) == 14  # two kinds, without the two constant maps


def law_from_power_sums(count, x, max_drafts, top):
    """P(N = m), m < N, of equal clocks with rate * t = x, from their power sums up to x^top."""
    newton = [
        count
        * mpmath.fsum(
            mpmath.mpf(surjections(r, k)) / mpmath.factorial(r) * x**r for r in range(k, top + 1)
        )
        for k in range(1, max_drafts)
    ]
    symmetric = [mpmath.mpf(1)]
    for m in range(1, max_drafts):
        terms = [(-1) ** (k - 1) * newton[k - 1] * symmetric[m - k] for k in range(1, m + 1)]
        symmetric.append(mpmath.fsum(terms) / m)
    return [mpmath.exp(-count * x) * e for e in symmetric]


def change_by_dropping(count, limit, max_drafts, top):
    """Largest change of a P(N = m), against the binomial law that it is."""
    x = mpmath.mpf(limit)
    law = law_from_power_sums(count, x, max_drafts, top)
    silent, rung = mpmath.exp(-x), -mpmath.expm1(-x)
    return max(
        abs(found - mpmath.binomial(count, m) * rung**m * silent ** (count - m))
        for m, found in enumerate(law)
    )


@pytest.mark.parametrize("max_drafts", [8, 9, 20])
def test_power_sums_are_enough(max_drafts):
    """Without the dropped ones no P(N_t = m), m < N, changes by more than 1e-17 for each order."""
    rule = clock_quadrature(max_drafts)
    with mpmath.workdps(60):
        for limit, top in ((rule.light_limit, NUM_POWERS), (rule.faint_limit, FAINT_POWERS)):
            changes = [
                change_by_dropping(count, limit, max_drafts, top)
                for count in (1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096)
            ]
            assert max(changes) <= 1e-17 * max_drafts
        # The limits are not idle: with the powers of faint tokens, light ones would be wrong.
        assert change_by_dropping(8, rule.light_limit, max_drafts, FAINT_POWERS) > 1e-15


def test_light_tokens_are_faint_before_the_last_nodes():
    rule = clock_quadrature(KERNEL_DRAFTS)
    earlier = rule.light_limit * (rule.times[1:-15] / rule.times[16:]).max()
    assert earlier <= rule.faint_limit


def test_nodes_integrate_exponentials():
    """With no clock in H the integral of W e^(-W t) is 1, down to W = 1e-10."""
    rule = clock_quadrature(8)
    for outside in 10.0 ** -np.arange(0.0, 11.0):
        total = (rule.weights * outside * np.exp(-outside * rule.times)).sum()
        total += outside * rule.early - outside**2 * rule.early_time
        assert total == pytest.approx(1.0, abs=1e-14)
