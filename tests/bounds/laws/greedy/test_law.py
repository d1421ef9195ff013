"""Greedy drafts from float32 logits: against the exact softmax, and sorting at full vocabulary."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT
from tests.hard_rows import awkward_logits
from tests.oracles.greedy_by_sorting import digits_acceptance, sorted_acceptance
from tests.oracles.softmax_in_digits import exact_softmax


def test_error_bound_from_logits():
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
                error = abs(float(curve.acceptance[0, n - 1] - digits_acceptance(p, q, n)))
                assert error <= curve.error_bound[0, n - 1], (case, n)


def test_full_vocabulary():
    rng = np.random.default_rng(1)
    for scale in (1.0, 3.0, 8.0):
        target = rng.normal(0.0, scale, 49_152).astype(np.float32)
        draft = (target + rng.normal(0.0, 1.0, len(target))).astype(np.float32)
        p, q = (bounds.distribution_from_logits(row) for row in (target, draft))
        curve = bounds.solve_curve_from_logits(target, draft, 6, "greedy")
        for n in range(1, 7):
            expected, size = sorted_acceptance(p, q, n)
            assert abs(float(curve.acceptance[0, n - 1]) - expected) <= 1e-14
            assert abs(int(curve.subset_size[0, n - 1]) - size) <= 2


def test_it_stays_at_one_where_the_target_sums_to_more():
    p, q = np.array([[1.0 + 5e-10]]), np.array([[1.0]])
    curve = bounds.solve_curve(p, q, 2, "greedy")
    assert curve.acceptance.tolist() == [[1.0, 1.0]]
    assert curve.subset_size.tolist() == [[0, 0]]
    assert bounds.solve(p[0], q[0], 2, "greedy").subset.sum() == 0
    torch = pytest.importorskip("torch")
    tensors = bounds.solve_curve(torch.tensor(p), torch.tensor(q), 2, "greedy")
    assert tensors.acceptance.tolist() == [[1.0, 1.0]]
