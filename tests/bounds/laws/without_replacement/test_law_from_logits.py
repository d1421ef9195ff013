"""The stated error from float32 logits, without replacement, against 40 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from tests.oracles.softmax_in_digits import exact_softmax
from tests.oracles.without_replacement_by_sorting import digits_containments
from tests.oracles.without_replacement_over_all_sets import digits_optima

MAX_DRAFTS = 5


def row_pairs(rng, vocab_size):
    """Float32 logits of targets and drafts that are hard in one way each."""

    def logits(scale):
        return (scale * rng.normal(0.0, 1.0, vocab_size)).astype(np.float32)

    usual, steep = logits(1.0), np.linspace(0.0, -470.0, vocab_size).astype(np.float32)
    masked_target, masked_draft = logits(2.0), logits(2.0)
    masked_target[1::3] = masked_draft[2::3] = -np.inf
    peaked = logits(1.0)
    peaked[0] = 40.0
    even = np.arange(vocab_size) % 2 == 0
    yield "usual", usual, logits(3.0)
    yield "equal", usual, usual
    yield "nearly equal", usual, np.nextafter(usual, np.float32(9.0))
    yield "ties", np.round(logits(1.0)), np.round(logits(1.0))
    yield "masks", masked_target, masked_draft
    yield "one-hot", usual, peaked
    yield "both one-hot", logits(40.0), peaked
    yield "wide", rng.permutation(steep), steep
    yield "wide and close", steep + logits(1.0), steep
    yield "flat", np.zeros(vocab_size, np.float32), logits(1e-7)
    if vocab_size > 1:
        where = np.where(even, 0.0, -np.inf).astype(np.float32)
        yield "disjoint", where, np.where(even, -np.inf, usual).astype(np.float32)


@pytest.mark.parametrize("vocab_size", [1, 2, 3, 6, 12])
def test_error_bound_from_logits_holds(vocab_size):
    rng = np.random.default_rng(vocab_size)
    with mpmath.workdps(40):
        for rank, (name, target, draft) in enumerate(row_pairs(rng, vocab_size)):
            for temperature in (0.7, 1.0)[rank % 2 :] if vocab_size > 6 else (0.7, 1.0):
                curve = bounds.solve_curve_from_logits(
                    target, draft, MAX_DRAFTS, "without_replacement", temperature=temperature
                )
                p, q = exact_softmax(target, temperature), exact_softmax(draft, temperature)
                for n, exact in enumerate(digits_optima(p, q, MAX_DRAFTS)):
                    error = abs(float(mpmath.mpf(float(curve.acceptance[0, n])) - exact))
                    assert error <= curve.error_bound[0, n], (name, temperature, n + 1)
                assert curve.error_bound.max() < 2e-12


def test_error_bound_from_logits_holds_for_the_bucketed_search():
    rng = np.random.default_rng(20)
    target = (3.0 * rng.normal(0.0, 1.0, 256)).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.0, 256)).astype(np.float32)
    curve = bounds.solve_curve_from_logits(
        target, draft, MAX_DRAFTS, "without_replacement", temperature=0.7
    )
    with mpmath.workdps(30):
        p, q = exact_softmax(target, 0.7), exact_softmax(draft, 0.7)
        order = sorted(range(256), key=lambda i: p[i] / q[i])
        contained = digits_containments([q[i] for i in order], MAX_DRAFTS, 0.17)
        inside = mpmath.mpf(0)
        optima = [mpmath.mpf(1)] * MAX_DRAFTS
        for size in range(1, 257):
            inside += p[order[size - 1]]
            for n in range(MAX_DRAFTS):
                if size > n:
                    optima[n] = min(optima[n], 1 + inside - contained[size][n])
        for n, exact in enumerate(optima):
            error = abs(float(mpmath.mpf(float(curve.acceptance[0, n])) - exact))
            assert error <= curve.error_bound[0, n], n + 1
            assert error <= 3e-14
