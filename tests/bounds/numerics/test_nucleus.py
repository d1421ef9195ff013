"""Top-p and entropy of rows against the plain way: sort everything."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.numerics.nucleus import keep_nucleus


def sorted_nucleus(p, top_p):
    order = np.argsort(-p, kind="stable")
    mass_before = np.cumsum(p[order]) - p[order]
    kept = order[(mass_before < top_p) | (np.arange(len(p)) == 0)]
    result = np.zeros_like(p)
    result[kept] = p[kept] / p[kept].sum()
    return result


@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.5, 0.95, 1.0 - 1e-12])
@pytest.mark.parametrize("kind", ["flat", "peaked", "ties", "one-hot", "single"])
def test_equals_sorting_the_vocabulary(kind, top_p):
    rng = np.random.default_rng(0)
    rows = {
        "flat": np.full((3, 1000), 1e-3),
        "peaked": rng.dirichlet(np.full(1000, 0.02), 3),
        "ties": rng.integers(1, 4, (3, 500)).astype(float),
        "one-hot": np.eye(40)[:3],
        "single": np.ones((2, 1)),
    }[kind]
    rows = rows / rows.sum(axis=1, keepdims=True)
    found = rows.copy()
    keep_nucleus(found, top_p)
    for row, before in zip(found, rows, strict=True):
        expected = sorted_nucleus(before, top_p)
        # Sums of equal numbers may cross top_p one token earlier or later.
        assert abs(np.count_nonzero(row) - np.count_nonzero(expected)) <= (kind in "flat ties")
        assert row.sum() == pytest.approx(1.0, abs=1e-12)
        if kind not in ("flat", "ties"):
            np.testing.assert_allclose(row, expected, atol=1e-15)


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.5}, {"top_k": 7}, {"top_p": 0.8}, {"min_p": 0.1}]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entropy_is_that_of_the_distribution(settings, dtype):
    logits = np.random.default_rng(1).normal(0.0, 3.0, (4, 300)).astype(dtype)
    logits[0, :100] = -np.inf
    p = bounds.distribution_from_logits(logits, **settings)
    expected = -np.where(p > 0.0, p * np.log(np.where(p > 0.0, p, 1.0)), 0.0).sum(axis=1)
    np.testing.assert_allclose(bounds.entropy_from_logits(logits, **settings), expected, atol=1e-12)
