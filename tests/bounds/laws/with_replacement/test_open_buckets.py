"""Open buckets: all their tokens, divided into parts with exact prefixes."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.with_replacement.buckets import (
    LOWEST_LOG_RATIO,
    fill_from_probabilities,
    new_buckets,
)
from mdbound.bounds.laws.with_replacement.edges import bucket_prefixes
from mdbound.bounds.laws.with_replacement.open_buckets import PARTS, divide, open_tokens


def filled(vocab_size):
    """Buckets of a row with some tokens that cannot be drafted, and its probabilities."""
    rng = np.random.default_rng(vocab_size)
    logits = rng.normal(0.0, 3.0, vocab_size)
    draft = logits + rng.normal(0.0, 1.0, vocab_size)
    draft[rng.random(vocab_size) < 0.1] = -np.inf
    draft[0] = 0.0
    p, q = bounds.distribution_from_logits(logits), bounds.distribution_from_logits(draft)
    buckets = new_buckets(vocab_size)
    fill_from_probabilities(p, q, LOWEST_LOG_RATIO, 8, False, buckets)
    return buckets, p, q


@pytest.mark.parametrize("vocab_size", [65, 4000, 70_001])
def test_open_tokens_are_all_tokens_of_open_buckets(vocab_size):
    buckets, p, q = filled(vocab_size)
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
