"""The trapezoid step in ln t: small enough, and not much smaller than it must be."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.bounds.numerics.exponential_clocks import trapezoid_step
from tests.oracles.acceptance_over_all_sets import contained_without_replacement


def containment_of_first_three(rates, num_drafts, step):
    times = np.exp(step * np.arange(int(-40 / step), int(9 / step)))
    rung = -np.expm1(-np.outer(rates[:3], times))
    law = np.zeros((num_drafts, len(times)))
    law[0] = 1.0
    for one in rung:
        law[1:] = law[1:] * (1.0 - one) + law[:-1] * one
        law[0] *= 1.0 - one
    outside = rates[3:].sum()
    return 1.0 - step * (outside * times * np.exp(-outside * times) * law.sum(axis=0)).sum()


@pytest.mark.parametrize("num_drafts", [2, 3])
def test_the_step_leaves_no_more_than_rounding(num_drafts):
    rng = np.random.default_rng(0)
    worst, coarse = 0.0, 0.0
    for _ in range(50):
        rates = rng.dirichlet(np.full(5, 0.5))
        exact = contained_without_replacement(rates, num_drafts)[0b111]
        step = trapezoid_step(num_drafts)
        worst = max(worst, abs(containment_of_first_three(rates, num_drafts, step) - exact))
        coarse = max(coarse, abs(containment_of_first_three(rates, num_drafts, 3 * step) - exact))
    assert worst <= 4e-15
    assert coarse > 1e-9


def test_more_drafts_need_a_smaller_step():
    steps = [trapezoid_step(n) for n in (3, 5, 8, 16)]
    assert steps == sorted(steps, reverse=True)
