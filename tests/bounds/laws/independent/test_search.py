"""Contract and branch: few boxes at full vocabulary, and their number comes back with a batch."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.laws.independent.law import optimal_subset, solve_independent

TEMPERATURES = [1.2, 2.0, 0.8]


@pytest.fixture(name="logits")
def fixture_logits():
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, 3.0, (4, 9_000)).astype(np.float32)
    return target, (target + rng.normal(0.0, 1.0, target.shape)).astype(np.float32)


def solve_logits(target, draft, **settings):
    return bounds.solve_curve_from_logits(
        target, draft, 3, "independent", draft_temperature=TEMPERATURES, **settings
    )


def test_boxes_of_a_batch_of_logits(logits):
    curve = solve_logits(*logits)
    assert curve.boxes.shape == curve.acceptance.shape
    assert (curve.boxes[:, 0] == 1).all()
    assert (curve.boxes >= 1).all()
    assert (curve.boxes <= 50).all()


def test_boxes_of_probabilities_and_of_truncated_logits(logits):
    target, draft = logits
    p = bounds.distribution_from_logits(target)
    q = [bounds.distribution_from_logits(draft, t) for t in TEMPERATURES]
    assert (bounds.solve_curve(p, q, 3, "independent").boxes >= 1).all()
    assert (solve_logits(target, draft, top_k=50).boxes >= 1).all()


def test_rows_without_logits_have_no_boxes(logits):
    target, draft = logits[0].copy(), logits[1]
    target[2] = np.nan
    for settings in ({}, {"top_k": 50}):
        curve = solve_logits(target, draft, strict=False, **settings)
        assert np.isnan(curve.acceptance[2]).all()
        assert (curve.boxes[2] == 0).all()
        assert (curve.boxes[[0, 1, 3]] >= 1).all()


@pytest.mark.parametrize("law", ["with_replacement", "without_replacement", "greedy"])
def test_other_laws_have_none(logits, law):
    assert bounds.solve_curve_from_logits(*logits, 3, law).boxes is None


def test_boxes_go_with_the_rows_they_are_put_with(logits):
    curve = solve_logits(*logits)
    larger = curve.among(np.array([5, 0, 2, 3]), 6)
    assert larger.boxes[[5, 0, 2, 3]].tolist() == curve.boxes.tolist()
    assert (larger.boxes[[1, 4]] == 0).all()


@pytest.mark.parametrize("num_drafts", [2, 3, 4])
def test_few_boxes_at_full_vocabulary(num_drafts):
    """And no single token moved in or out makes the set better."""
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
