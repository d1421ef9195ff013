"""The optimum over independent drafts and its error bound against every subset, without rounding.

Masses are integers: float64 numbers are multiples of 2^-1074. Adding copies of a token one by one
makes p(H) - q_1(H) ... q_K(H) a concave function of their number, so with a few kinds of equal
tokens only sets that hold all or none of each kind can be optimal, at any vocabulary size.
"""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from mdbound import bounds

UNIT = 1074
DRAFTS = (2, 3, 4)


def units(probability):
    return int(Fraction(float(probability)) * 2**UNIT)


def exact_optima(p, drafts, copies):
    """1 + min over all sets of p(H) - q_1(H) ... q_n(H) for n = 1..K, as fractions."""
    rows = [[units(x) * int(c) for x, c in zip(row, copies, strict=True)] for row in (p, *drafts)]
    best = [Fraction(0)] * len(drafts)
    sums = [[0] for _ in rows]
    for row, kept in zip(rows, sums, strict=True):
        for x in row:
            kept += [known + x for known in kept]
    for p_inside, *inside in zip(*sums, strict=True):
        product = 1
        for n, mass in enumerate(inside):
            product *= mass
            excess = (p_inside << (UNIT * n)) - product
            if excess < 0:
                best[n] = min(best[n], Fraction(excess, 1 << (UNIT * (n + 1))))
    return [1 + value for value in best]


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


def awkward_logits(rng, case, size):
    scale = (0.0, 1e-6, 1.0, 5.0, 100.0, 600.0)[case % 6]
    logits = (scale * rng.normal(size=size)).astype(np.float32)
    if case % 4 == 1:
        logits = np.round(logits)
    if case % 5 == 2:
        logits[rng.random(size) < 0.4] = -np.inf
        logits[rng.integers(size)] = 0.0
    return logits


def exact_softmax(logits, temperature, copies):
    powers = [mpmath.exp(mpmath.mpf(float(x)) / mpmath.mpf(temperature)) for x in logits]
    total = mpmath.fsum(x * int(c) for x, c in zip(powers, copies, strict=True))
    return [x * int(c) / total for x, c in zip(powers, copies, strict=True)]


def exact_optima_of(p, drafts):
    sums = [[mpmath.mpf(0)] for _ in range(len(drafts) + 1)]
    for row, kept in zip((p, *drafts), sums, strict=True):
        for x in row:
            kept += [known + x for known in kept]
    best = [mpmath.mpf(1)] * len(drafts)
    for p_inside, *inside in zip(*sums, strict=True):
        product = mpmath.mpf(1)
        for n, mass in enumerate(inside):
            product *= mass
            best[n] = min(best[n], 1 + p_inside - product)
    return best


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
            for n, exact in enumerate(exact_optima_of(p, drafts)):
                error = abs(float(curve.acceptance[0, n] - exact))
                assert error <= curve.error_bound[0, n], (case, n)
                assert curve.error_bound[0, n] <= 1e-12
