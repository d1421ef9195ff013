"""The optimum over independent drafts and its error bound, against every set without rounding."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from tests.hard_rows import awkward_logits
from tests.oracles.independent_over_all_sets import digits_optima, exact_optima
from tests.oracles.softmax_in_digits import exact_softmax

DRAFTS = (2, 3, 4)


def awkward_row(rng, kind, size):
    """Weights of a row, by kind; scaled to mass 1 later."""
    row = rng.dirichlet(np.full(size, 0.7)) + 1e-300
    if kind == 1:
        row = np.ones(size)
    elif kind == 2:
        row = rng.integers(0, 3, size).astype(float)
    elif kind == 3:
        row = 10.0 ** -rng.uniform(0.0, 300.0, size)
    elif kind == 4:
        row = np.zeros(size)
        row[rng.integers(size)] = 1.0
    elif kind == 5:
        row[rng.random(size) < 0.5] = 0.0
    elif kind == 6:
        row = 2.0 ** -rng.integers(0, 20, size)
    elif kind == 7:
        row = np.ones(size) + 1e-13 * rng.normal(size=size)
    if row.sum() == 0.0:
        row[0] = 1.0
    return row


def near_tie(rng, drafts, copies):
    """A target with p_i = w.q_i for the kinds in some set, up to a few roundings or 1e-13."""
    size = len(copies)
    x = (drafts * copies)[:, rng.random(size) < 0.6].sum(axis=1)
    weights = np.array([np.delete(x, k).prod() for k in range(len(x))])
    p = weights @ drafts * (1.0 + rng.choice([0.0, 1e-16, 1e-13, 1e-8]) * rng.normal(size=size))
    p[-1] += max(0.0, 1.0 - (p * copies).sum()) / copies[-1]
    return p


def problem(rng, case, num_drafts, size, copies):
    """Rows of kinds of tokens; each row has mass 1 over all copies."""
    drafts = []
    for k in range(num_drafts):
        row = awkward_row(rng, int(rng.integers(8)) if k else case % 8, size)
        drafts.append(row / (row * copies).sum())
    drafts = np.array(drafts)
    if case % 11 == 3:
        drafts[:] = drafts[0]
    if case % 11 == 4 and size > 1:  # disjoint supports
        drafts[0, ::2], drafts[1, 1::2] = 0.0, 0.0
        drafts[0, 1] += 1e-3
        drafts[1, 0] += 1e-3
        drafts /= (drafts * copies).sum(axis=1, keepdims=True)
    if case % 3 == 1:
        p = near_tie(rng, drafts, copies)
    elif case % 7 == 2:
        p = drafts[int(rng.integers(num_drafts))].copy()
    else:
        p = awkward_row(rng, int(rng.integers(8)), size)
    return p / (p * copies).sum(), drafts


def check(p, drafts, copies, case):
    order = np.random.default_rng(case).permutation(int(copies.sum()))
    spread = [np.repeat(row, copies)[order] for row in (p, *drafts)]
    curve = bounds.solve_curve(spread[0], spread[1:], len(drafts), "independent")
    for n, exact in enumerate(exact_optima(p, drafts, copies)):
        error = abs(Fraction(curve.acceptance[0, n]) - exact)
        assert error <= Fraction(curve.error_bound[0, n]), (case, n, float(error))
        assert error <= Fraction(1, 10**12), (case, n, float(error))


@pytest.mark.parametrize("num_drafts", DRAFTS)
def test_every_subset_of_small_vocabularies(num_drafts):
    rng = np.random.default_rng(num_drafts)
    for case in range(1_200):
        size = 1 + case % 3 if case % 5 == 0 else int(rng.integers(2, 11))
        copies = np.ones(size, dtype=np.int64)
        check(*problem(rng, case, num_drafts, size, copies), copies, case)


@pytest.mark.parametrize("num_drafts", DRAFTS)
def test_a_few_kinds_of_tokens_in_large_vocabularies(num_drafts):
    rng = np.random.default_rng(10 + num_drafts)
    for case in range(250):
        size = int(rng.integers(2, 9))
        copies = rng.multinomial(9_000, rng.dirichlet(np.full(size, 0.5))) + 1
        check(*problem(rng, case, num_drafts, size, copies), copies, case)


@pytest.mark.parametrize("num_drafts", DRAFTS)
@pytest.mark.parametrize(("total", "cases"), [(0, 400), (9_000, 60)])
def test_from_logits(num_drafts, total, cases):
    rng = np.random.default_rng(20 + num_drafts)
    temperatures = [0.75, 1.0, 1.5, 1.25][:num_drafts]
    with mpmath.workdps(40):
        for case in range(cases):
            size = int(rng.integers(1, 7))
            copies = rng.multinomial(total, np.full(size, 1.0 / size)) + 1
            rows = [awkward_logits(rng, case // 6**k + k, size) for k in range(num_drafts + 1)]
            if case % 7 == 3:
                rows[1:] = [rows[1]] * num_drafts
            if case % 7 == 4:
                rows[:] = [rows[0]] * (num_drafts + 1)
            order = rng.permutation(int(copies.sum()))
            spread = [np.repeat(row, copies)[order] for row in rows]
            curve = bounds.solve_curve_from_logits(
                spread[0], spread[1:], num_drafts, "independent", draft_temperature=temperatures
            )
            p = exact_softmax(rows[0], 1.0, copies)
            drafts = [
                exact_softmax(row, t, copies) for row, t in zip(rows[1:], temperatures, strict=True)
            ]
            for n, exact in enumerate(digits_optima(p, drafts)):
                error = abs(float(curve.acceptance[0, n] - exact))
                assert error <= curve.error_bound[0, n], (case, n)
                assert curve.error_bound[0, n] <= 1e-12
