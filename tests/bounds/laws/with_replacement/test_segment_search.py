"""The search inside a segment of tokens between two bucket edges."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.bounds.laws.with_replacement.edges import Minimum
from mdbound.bounds.laws.with_replacement.segment_search import Segment, search_segment
from tests.oracles.with_replacement_by_sorting import sorted_curve


@pytest.mark.parametrize("num_drafts", [1, 2, 5])
def test_segment_search_survives_lopsided_pivots(num_drafts):
    """Ratios that halve from token to token: every pivot splits off a few tokens only."""
    ratio = 2.0 ** -np.arange(900.0)
    draft = np.full(900, 1.0 / 900)
    target = ratio * draft
    p, q = target / target.sum(), draft
    segment = Segment(p.copy(), q.copy(), p / q, 0.0, 0.0, 0)
    found = search_segment(segment, num_drafts, Minimum(0.0, 0.0, 0.0, 0))
    assert 1.0 + found.value == pytest.approx(sorted_curve(p, q, num_drafts)[-1], abs=1e-14)
