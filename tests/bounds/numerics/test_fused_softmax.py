"""Softmax and entropy of float32 rows in one pass, and rows that are no logits."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.numerics.fused_softmax import (
    entropy_rows,
    largest_logit,
    softmax_into,
    softmax_rows,
)


def test_softmax_row_equals_the_reference():
    rng = np.random.default_rng(4)
    for size in (1, 5, 511, 512, 513, 3000):
        logits = rng.normal(0.0, 5.0, size).astype(np.float32)
        found = np.empty(size)
        assert softmax_into(logits, 0.7, found)
        np.testing.assert_allclose(
            found, bounds.distribution_from_logits(logits, 0.7), rtol=1e-13, atol=1e-300
        )


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf])
def test_a_row_that_is_no_logits_has_no_largest(bad):
    row = np.zeros(40, dtype=np.float32)
    row[17] = bad
    assert np.isnan(largest_logit(row))
    assert np.isnan(largest_logit(np.full(3, -np.inf, dtype=np.float32)))
    assert largest_logit(np.array([-3.5, -np.inf, -7.0], dtype=np.float32)) == -3.5


def test_softmax_and_entropy_of_a_batch():
    rng = np.random.default_rng(5)
    logits = rng.normal(0.0, 4.0, (5, 1300)).astype(np.float32)
    logits[1, ::2] = -np.inf
    logits[3, 7] = np.nan
    found = np.zeros(logits.shape)
    assert softmax_rows(logits, 0.7, found).tolist() == [True, True, True, False, True]
    entropy = entropy_rows(logits, 0.7)
    for row in (0, 1, 2, 4):
        expected = bounds.distribution_from_logits(logits[row], 0.7)
        np.testing.assert_allclose(found[row], expected, rtol=1e-13)
        kept = expected[expected > 0.0]
        assert entropy[row] == pytest.approx(-(kept * np.log(kept)).sum(), abs=1e-12)
    assert np.isnan(entropy[3])
