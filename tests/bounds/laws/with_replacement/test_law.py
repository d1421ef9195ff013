"""The sort-free solver: against sorting, against rational arithmetic, against many digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidSettingError
from tests.hard_rows import adversarial_row
from tests.oracles.softmax_in_digits import exact_softmax
from tests.oracles.with_replacement_by_sorting import (
    digits_curve,
    exact_acceptance,
    sorted_curve,
)

SIZES = (1, 2, 3, 17, 700, 5000)


def logits_of_kind(kind, rng, vocab_size):
    """Pairs of float32 rows that are each awkward in one way."""
    target = rng.normal(0.0, 3.0, vocab_size)
    draft = target + rng.normal(0.0, 1.0, vocab_size)
    if kind == "equal":
        draft = target.copy()
    elif kind == "flat":
        target, draft = np.zeros(vocab_size), np.zeros(vocab_size)
    elif kind == "nearly flat":
        target, draft = rng.normal(0.0, 1e-6, (2, vocab_size))
    elif kind == "peaked":
        target[rng.integers(vocab_size)] += 30.0
    elif kind == "both peaked":
        target[0] += 25.0
        draft[-1] += 25.0
    elif kind == "steep":
        target, draft = rng.normal(0.0, 100.0, (2, vocab_size))
    elif kind == "unrelated":
        draft = rng.normal(0.0, 2.0, vocab_size)
    elif kind == "ties":
        target, draft = rng.integers(0, 3, (2, vocab_size)).astype(float)
    elif kind == "masked":
        target[rng.random(vocab_size) < 0.5] = -np.inf
        draft[rng.random(vocab_size) < 0.5] = -np.inf
        target[0] = draft[-1] = 1.0
    elif kind == "disjoint":
        target[vocab_size // 2 :] = -np.inf
        draft[: vocab_size // 2] = -np.inf
        target[0] = draft[-1] = 0.0
    elif kind == "lowest numbers":
        target[1:], draft[:-1] = np.finfo(np.float32).min, np.finfo(np.float32).min
    return target.astype(np.float32), draft.astype(np.float32)


KINDS = [
    "plain",
    "equal",
    "flat",
    "peaked",
    "steep",
    "unrelated",
    "ties",
    "masked",
    "disjoint",
    "nearly flat",
    "both peaked",
    "lowest numbers",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocab_size", SIZES)
def test_from_logits_equals_sorting(kind, vocab_size):
    rng = np.random.default_rng(vocab_size)
    pairs = [logits_of_kind(kind, rng, vocab_size) for _ in range(6)]
    target, draft = (np.stack(rows) for rows in zip(*pairs, strict=True))
    curve = bounds.solve_curve_from_logits(target, draft, 8)
    p = bounds.distribution_from_logits(target)
    q = bounds.distribution_from_logits(draft)
    for row in range(len(p)):
        error = np.abs(curve.acceptance[row] - sorted_curve(p[row], q[row], 8))
        assert (error <= curve.error_bound[row]).all()
    assert (curve.error_bound < 1e-12).all()
    np.testing.assert_allclose(
        1.0 + curve.target_mass - curve.containment, curve.acceptance, atol=2e-15
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocab_size", SIZES)
def test_from_probabilities_equals_sorting(kind, vocab_size):
    rng = np.random.default_rng(vocab_size + 1)
    target, draft = logits_of_kind(kind, rng, vocab_size)
    p, q = bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)
    curve = bounds.solve_curve(p, q, 8)
    error = np.abs(curve.acceptance[0] - sorted_curve(p, q, 8))
    assert (error <= curve.error_bound[0]).all()


def test_two_temperatures():
    rng = np.random.default_rng(0)
    target, draft = logits_of_kind("plain", rng, 3000)
    found = bounds.acceptance_curve_from_logits(
        target, draft, 4, temperature=0.6, draft_temperature=1.7
    )
    p = bounds.distribution_from_logits(target, 0.6)
    q = bounds.distribution_from_logits(draft, 1.7)
    np.testing.assert_allclose(found, sorted_curve(p, q, 4), atol=1e-14)


@pytest.mark.parametrize("vocab_size", [2, 5, 40, 400])
def test_error_bound_holds_in_rational_arithmetic(vocab_size):
    rng = np.random.default_rng(vocab_size)
    for case in range(6000 // vocab_size + 9):
        p = adversarial_row(rng, case, vocab_size)
        q = adversarial_row(rng, case // 9 + case, vocab_size)
        curve = bounds.solve_curve(p, q, 5)
        for n in range(1, 6):
            error = abs(curve.acceptance[0, n - 1] - exact_acceptance(p, q, n))
            assert error <= curve.error_bound[0, n - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_error_bound_from_logits_holds_against_forty_digits(kind):
    """The truth is the softmax of the float32 logits in real arithmetic, not in float64."""
    rng = np.random.default_rng(7)
    for vocab_size in (1, 2, 3, 30, 200):
        target, draft = logits_of_kind(kind, rng, vocab_size)
        curve = bounds.solve_curve_from_logits(target, draft, 4, temperature=0.7)
        with mpmath.workdps(40):
            expected = digits_curve(exact_softmax(target, 0.7), exact_softmax(draft, 0.7), 4)
            error = [abs(x - y) for x, y in zip(curve.acceptance[0], expected, strict=True)]
        assert (error <= curve.error_bound[0]).all()


def test_many_tokens_in_one_bucket_are_summed_with_compensation():
    """All ratios equal: one bucket holds 100,000 tokens, and plain sums would lose digits."""
    rng = np.random.default_rng(1)
    target = rng.normal(0.0, 2.0, 100_000).astype(np.float32)
    draft = target.copy()
    draft[:50_000] += np.float32(0.5)
    curve = bounds.solve_curve_from_logits(target[None], draft[None], 3)
    assert (curve.error_bound < 5e-13).all()
    p, q = bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)
    np.testing.assert_allclose(curve.acceptance[0], sorted_curve(p, q, 3), atol=2e-15)


@pytest.mark.parametrize("kind", ["confident target", "cold target", "sample misleads", "crowds"])
@pytest.mark.parametrize("vocab_size", [3000, 49_152])
def test_rows_whose_buckets_are_placed_twice(kind, vocab_size):
    """Optima below the usual range of ratios, or far above what the sample of tokens shows."""
    rng = np.random.default_rng(5)
    target = rng.normal(0.0, 3.0, vocab_size).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.0, vocab_size)).astype(np.float32)
    temperature = 1.0
    if kind == "confident target":
        target[17] = target.max() + 15.0
    elif kind == "cold target":
        temperature = 0.1
    elif kind == "sample misleads":
        draft[600:] = target[600:] - rng.normal(1.5, 0.3, vocab_size - 600)
        draft[:512] = target[:512] + rng.normal(0.0, 1e-4, 512)
    else:
        draft = (target + rng.choice([0.0, 1e-5, 0.5], vocab_size)).astype(np.float32)
    curve = bounds.solve_curve_from_logits(
        target[None], draft[None], 8, temperature=temperature, draft_temperature=1.0
    )
    p = bounds.distribution_from_logits(target, temperature)
    q = bounds.distribution_from_logits(draft)
    expected = sorted_curve(p, q, 8)
    assert (curve.error_bound < 1e-12).all()
    assert (np.abs(curve.acceptance[0] - expected) <= curve.error_bound[0]).all()
    given = bounds.solve_curve(p, q, 8)
    assert (np.abs(given.acceptance[0] - expected) <= given.error_bound[0]).all()


def test_negative_zero_is_zero():
    p = np.array([[-0.0, 1.0]])
    assert bounds.acceptance_curve(p, np.array([[0.5, 0.5]]), 2).tolist() == [[0.5, 0.75]]


@pytest.mark.parametrize("masked", [-1e4, -1e9, -np.inf])
def test_tokens_that_cannot_be_drafted_are_in_no_set(masked):
    """A draft probability of 0 by underflow is like one of a masked token."""
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, 2.0, 1000).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.0, 1000)).astype(np.float32)
    target[-100:] = draft[-100:] = masked
    curve = bounds.solve_curve_from_logits(target[None], draft[None], 2)
    p, q = bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)
    assert curve.subset_size.tolist() == bounds.solve_curve(p, q, 2).subset_size.tolist()


def test_a_temperature_whose_inverse_overflows_is_refused():
    row = np.zeros((1, 4), dtype=np.float32)
    with pytest.raises(InvalidSettingError, match="1e-310"):
        bounds.solve_curve_from_logits(row, row, 2, temperature=1e-310)
