"""Buckets of the ratio p/q: what they hold, where their edges are, and which tokens are open."""

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
from mdbound.bounds.laws.with_replacement.edges import bucket_prefixes
from mdbound.bounds.laws.with_replacement.open_buckets import PARTS, divide, open_tokens
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


@pytest.mark.parametrize("vocab_size", [65, 4000, 70_001])
def test_open_tokens_are_all_tokens_of_open_buckets(vocab_size):
    buckets, p, q = filled_from_probabilities(vocab_size, False)
    rng = np.random.default_rng(0)
    prefixes, _ = bucket_prefixes(buckets, False)
    for opened in (1, 5, len(buckets.tokens)):
        chosen = rng.choice(len(buckets.tokens), opened, replace=False)
        pairs = np.stack([rng.integers(1, 9, opened), chosen], axis=1)
        tokens = open_tokens(buckets, pairs)
        assert tokens.ids.tolist() == np.flatnonzero(np.isin(buckets.bucket_of, chosen)).tolist()
        assert (tokens.buckets[tokens.rank] == buckets.bucket_of[tokens.ids]).all()
        parts, rounding = divide(tokens, pairs, p[tokens.ids], q[tokens.ids], prefixes)
        check_parts(tokens, parts, rounding, p, q, prefixes)


def check_parts(tokens, parts, rounding, p, q, prefixes):
    """Each part's masses and range are those of its tokens, in front of it those of the bucket."""
    assert 0.0 <= rounding <= 256.0
    rank, part = np.divmod(parts.part, PARTS)
    assert (rank == tokens.rank).all()
    low, high = parts.edges[rank, part], parts.edges[rank, part + 1]
    assert (parts.ratio >= low * (1.0 - 1e-9)).all()
    assert (parts.ratio <= high * (1.0 + 1e-9)).all()
    for open_bucket, b in enumerate(tokens.buckets):
        inside = [tokens.ids[(rank == open_bucket) & (part < k)] for k in range(PARTS + 1)]
        np.testing.assert_allclose(
            parts.target[open_bucket],
            [prefixes.target[b] + p[ids].sum() for ids in inside],
            atol=1e-14,
        )
        np.testing.assert_allclose(
            parts.draft[open_bucket],
            [prefixes.draft[b] + q[ids].sum() for ids in inside],
            atol=1e-14,
        )
        assert (parts.tokens[open_bucket] - prefixes.tokens[b]).tolist() == [
            len(ids) for ids in inside
        ]
