"""Edges of the buckets: prefixes of the ratio order, with their masses."""

from __future__ import annotations

import numpy as np

from mdbound import bounds
from mdbound.bounds.laws.with_replacement.buckets import new_buckets
from mdbound.bounds.laws.with_replacement.buckets_from_logits import Placement, fill_from_logits
from mdbound.bounds.laws.with_replacement.edges import bucket_prefixes
from mdbound.bounds.numerics.fused_softmax import largest_logit


def test_bucket_edges_are_prefixes_of_the_ratio_order():
    rng = np.random.default_rng(2)
    target = rng.normal(0.0, 3.0, 4000).astype(np.float32)
    draft = (target + rng.normal(0.0, 1.0, 4000)).astype(np.float32)
    buckets = new_buckets(4000)
    largest = (largest_logit(target), largest_logit(draft))
    placement = Placement(0.0, -9.0, True)
    fill_from_logits(target, draft, largest, (1.0, 1.0), placement, 8, False, buckets)
    prefixes, _ = bucket_prefixes(buckets, True)
    p, q = bounds.distribution_from_logits(target), bounds.distribution_from_logits(draft)
    order = np.argsort(p / q, kind="stable")
    assert (np.diff(buckets.bucket_of[order].astype(int)) >= 0).all()
    np.testing.assert_allclose(
        prefixes.target, np.concatenate([[0], np.cumsum(p[order])])[prefixes.tokens], atol=1e-13
    )
    np.testing.assert_allclose(
        prefixes.draft, np.concatenate([[0], np.cumsum(q[order])])[prefixes.tokens], atol=1e-13
    )
