"""The stated error from float32 logits, without replacement, against 40 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mdbound import bounds

MAX_DRAFTS = 5


def exact_softmax(logits, temperature):
    powers = [mpmath.exp(mpmath.mpf(float(x)) / mpmath.mpf(temperature)) for x in logits]
    total = mpmath.fsum(powers)
    return [x / total for x in powers]


def sums_over_subsets(values, vocab_size):
    """For every set H, the sum of the values of all sets inside H."""
    sums = list(values)
    for i in range(vocab_size):
        for members in range(1 << vocab_size):
            if members >> i & 1:
                sums[members] += sums[members ^ (1 << i)]
    return sums


def exact_optima(p, q):
    """alpha* for n = 1..MAX_DRAFTS over all sets; the drafted sets are followed draw by draw."""
    vocab_size = len(p)
    support = [i for i in range(vocab_size) if q[i] > 0]
    target = [mpmath.mpf(0)] * (1 << vocab_size)
    for i in range(vocab_size):
        target[1 << i] = p[i]
    target = sums_over_subsets(target, vocab_size)
    drawn = {0: mpmath.mpf(1)}
    optima = []
    for n in range(1, MAX_DRAFTS + 1):
        if n <= len(support):
            following = {}
            for members, probability in drawn.items():
                left = [i for i in support if not members >> i & 1]
                mass = mpmath.fsum(q[i] for i in left)
                for i in left:
                    grown = members | 1 << i
                    following[grown] = following.get(grown, 0) + probability * q[i] / mass
            drawn = following
        contained = [drawn.get(members, mpmath.mpf(0)) for members in range(1 << vocab_size)]
        contained = sums_over_subsets(contained, vocab_size)
        optima.append(1 + min(x - f for x, f in zip(target, contained, strict=True)))
    return optima


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
                for n, exact in enumerate(exact_optima(p, q)):
                    error = abs(float(mpmath.mpf(float(curve.acceptance[0, n])) - exact))
                    assert error <= curve.error_bound[0, n], (name, temperature, n + 1)
                assert curve.error_bound.max() < 2e-12


def containments_of_prefixes(rates):
    """F_1..F_5 of every prefix: the integral in ln t, whose step leaves 4e-19 (theory, 8.2)."""
    outside = [mpmath.fsum(rates[k:]) for k in range(len(rates) + 1)]
    kept = [[mpmath.mpf(0)] * MAX_DRAFTS for _ in outside]
    step = mpmath.mpf("0.17")
    last = mpmath.log(45 / min(rates)) / step
    for node in range(-int(42 / step), int(last) + 1):
        t = mpmath.exp(node * step)
        law = [mpmath.mpf(1)] + [mpmath.mpf(0)] * (MAX_DRAFTS - 1)
        for size in range(len(rates)):
            weight = step * outside[size] * t * mpmath.exp(-outside[size] * t)
            below = mpmath.mpf(0)
            for n in range(MAX_DRAFTS):
                below += law[n]
                kept[size][n] += weight * below
            silent = mpmath.exp(-rates[size] * t)
            for m in range(MAX_DRAFTS - 1, 0, -1):
                law[m] = law[m] * silent + law[m - 1] * (1 - silent)
            law[0] *= silent
    return [[1 - value for value in row] for row in kept]


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
        contained = containments_of_prefixes([q[i] for i in order])
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
