"""Buckets of the ratio p/q, from logits and from probabilities: what they hold, and where."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.with_replacement.buckets import (
    LOWEST_LOG_RATIO,
    SPAN_ROUNDINGS,
    fill_from_probabilities,
    new_buckets,
)
from mdbound.bounds.laws.with_replacement.buckets_from_logits import Placement, fill_from_logits
from mdbound.bounds.numerics.fused_softmax import largest_logit
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF

PLACEMENT = Placement(0.0, LOWEST_LOG_RATIO, True)
SIZES = (1, 2, 63, 64, 65, 511, 513, 4000, 70_001)


def rows(vocab_size):
    rng = np.random.default_rng(vocab_size)
    target = rng.normal(0.0, 3.0, vocab_size).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.0, vocab_size)).astype(np.float32)
    draft[rng.random(vocab_size) < 0.1] = -np.inf
    draft[0] = 0.0
    return target, draft


def filled_from_logits(vocab_size, compensated):
    target, draft = rows(vocab_size)
    buckets = new_buckets(vocab_size)
    largest = (largest_logit(target), largest_logit(draft))
    fill_from_logits(target, draft, largest, (1.0, 1.0), PLACEMENT, 8, compensated, buckets)
    # Masses of the buckets are not normalised: the largest exponential is 1.
    p = np.exp(target.astype(float) - largest[0])
    q = np.exp(draft.astype(float) - largest[1])
    return buckets, p, q


def filled_from_probabilities(vocab_size, compensated):
    target, draft = rows(vocab_size)
    p, q = bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)
    buckets = new_buckets(vocab_size)
    fill_from_probabilities(p, q, LOWEST_LOG_RATIO, 8, compensated, buckets)
    return buckets, p, q


@pytest.mark.parametrize("fill", [filled_from_logits, filled_from_probabilities])
@pytest.mark.parametrize("compensated", [False, True])
@pytest.mark.parametrize("vocab_size", SIZES)
def test_buckets_hold_their_tokens(fill, compensated, vocab_size):
    buckets, p, q = fill(vocab_size, compensated)
    count = len(buckets.tokens)
    assert buckets.tokens.tolist() == np.bincount(buckets.bucket_of, minlength=count).tolist()
    allowed = (SPAN_ROUNDINGS if compensated else vocab_size) * UNIT_ROUNDOFF + 1e-15
    for held, given in ((buckets.target, p), (buckets.draft, q)):
        expected = np.bincount(buckets.bucket_of, weights=given, minlength=count)
        np.testing.assert_allclose(held, expected, rtol=max(allowed, 1e-13), atol=0.0)
    np.testing.assert_allclose(buckets.totals, [p.sum(), q.sum()], rtol=2e-15)


@pytest.mark.parametrize("fill", [filled_from_logits, filled_from_probabilities])
def test_ratios_lie_between_the_edges_of_their_bucket(fill):
    buckets, p, q = fill(4000, False)
    ratio = np.divide(p, q, out=np.full(len(p), 1e300), where=q > 0.0)
    ratio = np.minimum(ratio, 1e300)
    assert (ratio >= buckets.edges[buckets.bucket_of] * (1.0 - 1e-12)).all()
    assert (ratio <= buckets.edges[buckets.bucket_of + 1] * (1.0 + 1e-12)).all()
