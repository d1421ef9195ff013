"""Greedy and independent drafts from float32 logits against exact softmax, and their sums."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.independent.law import optimal_subset, solve_independent
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT


def exact_softmax(logits, temperature):
    powers = [mpmath.exp(mpmath.mpf(float(x)) / mpmath.mpf(temperature)) for x in logits]
    total = mpmath.fsum(powers)
    return [x / total for x in powers]


def awkward_logits(rng, case, vocab_size):
    scale = (0.0, 1e-6, 1.0, 5.0, 100.0, 600.0)[case % 6]
    logits = (scale * rng.normal(0.0, 1.0, vocab_size)).astype(np.float32)
    if case % 4 == 1:
        logits = np.round(logits)
    if case % 5 == 2:
        logits[rng.random(vocab_size) < 0.4] = -np.inf
        logits[rng.integers(vocab_size)] = 0.0
    return logits


def exact_greedy(p, q, num_drafts):
    drafted = sorted((i for i in range(len(q)) if q[i] > 0), key=lambda i: (-q[i], i))
    top, rest = drafted[: num_drafts - 1], drafted[num_drafts - 1 :]
    rest_mass = mpmath.fsum(q[i] for i in rest)
    kept = mpmath.fsum(min(p[i], q[i] / rest_mass) for i in rest)
    return mpmath.fsum(p[i] for i in top) + kept


def test_greedy_error_bound_from_logits():
    rng = np.random.default_rng(0)
    with mpmath.workdps(40):
        for case in range(1500):
            vocab_size = int(rng.choice([1, 2, 3, 10, 60]))
            target = awkward_logits(rng, case, vocab_size)
            draft = awkward_logits(rng, case // 6, vocab_size)
            curve = bounds.solve_curve_from_logits(target, draft, 4, "greedy", temperature=0.75)
            p, q = exact_softmax(target, 0.75), exact_softmax(draft, 0.75)
            # What can be drafted at all is part of the definition: nothing below e^-680.
            drafted = (draft.astype(float) - draft.max()) / 0.75 >= SMALLEST_EXPONENT
            q = [x if kept else mpmath.mpf(0) for x, kept in zip(q, drafted, strict=True)]
            for n in range(1, 5):
                error = abs(float(curve.acceptance[0, n - 1] - exact_greedy(p, q, n)))
                assert error <= curve.error_bound[0, n - 1], (case, n)


def test_greedy_at_full_vocabulary():
    rng = np.random.default_rng(1)
    for scale in (1.0, 3.0, 8.0):
        target = rng.normal(0.0, scale, 49_152).astype(np.float32)
        draft = (target + rng.normal(0.0, 1.0, len(target))).astype(np.float32)
        p, q = (
            bounds.distribution_from_logits(row).astype(np.longdouble) for row in (target, draft)
        )
        curve = bounds.solve_curve_from_logits(target, draft, 6, "greedy")
        order = np.argsort(-q, kind="stable")
        for n in range(1, 7):
            top, rest = order[: n - 1], order[n - 1 :]
            expected = p[top].sum() + np.minimum(p[rest], q[rest] / q[rest].sum()).sum()
            assert abs(float(curve.acceptance[0, n - 1] - expected)) <= 1e-14
            below = p[rest] < q[rest] / q[rest].sum()
            assert abs(int(curve.subset_size[0, n - 1]) - (below.sum() + n - 1)) <= 2


def test_independent_error_bound_from_logits():
    rng = np.random.default_rng(2)
    temperatures = [0.75, 1.0, 1.5]
    with mpmath.workdps(40):
        for case in range(120):
            vocab_size = int(rng.integers(1, 6))
            target = awkward_logits(rng, case, vocab_size)
            draft = awkward_logits(rng, case // 6, vocab_size)
            curve = bounds.solve_curve_from_logits(
                target, draft, 3, "independent", draft_temperature=temperatures
            )
            p = exact_softmax(target, 1.0)
            q = [exact_softmax(draft, temperature) for temperature in temperatures]
            best = [mpmath.mpf(1)] * 3
            for members in product((0, 1), repeat=vocab_size):
                contained = mpmath.mpf(1)
                inside = mpmath.fsum(x for x, m in zip(p, members, strict=True) if m)
                for n in range(3):
                    contained *= mpmath.fsum(x for x, m in zip(q[n], members, strict=True) if m)
                    best[n] = min(best[n], 1 + inside - contained)
            for n in range(3):
                error = abs(float(curve.acceptance[0, n] - best[n]))
                assert error <= curve.error_bound[0, n], (case, n)


@pytest.mark.parametrize("num_drafts", [2, 3, 4])
def test_independent_boxes_at_full_vocabulary(num_drafts):
    """Few boxes; and no single token moved in or out makes the set better."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0.0, 3.0, 10_000)
    p = bounds.distribution_from_logits(logits + rng.normal(0.0, 1.0, len(logits)))
    q = np.stack(
        [bounds.distribution_from_logits(logits, 0.8 + 0.2 * k) for k in range(num_drafts)]
    )
    found, boxes = solve_independent(p[None], [row[None] for row in q], num_drafts)
    assert (boxes <= 200).all()
    members, used = optimal_subset(p, q)
    assert used <= 200
    inside = q[:, members].sum(axis=1)
    moved = np.where(members, -1.0, 1.0)
    changed = moved * p - (np.prod(inside[:, None] + moved * q, axis=0) - inside.prod())
    assert changed.min() >= -1e-13
    assert found[0, 0, -1] == pytest.approx(1.0 + p[members].sum() - inside.prod(), abs=1e-13)


def test_greedy_stays_at_one_where_the_target_sums_to_more():
    p, q = np.array([[1.0 + 5e-10]]), np.array([[1.0]])
    curve = bounds.solve_curve(p, q, 2, "greedy")
    assert curve.acceptance.tolist() == [[1.0, 1.0]]
    assert curve.subset_size.tolist() == [[0, 0]]
    assert bounds.solve(p[0], q[0], 2, "greedy").subset.sum() == 0
    torch = pytest.importorskip("torch")
    tensors = bounds.solve_curve(torch.tensor(p), torch.tensor(q), 2, "greedy")
    assert tensors.acceptance.tolist() == [[1.0, 1.0]]
