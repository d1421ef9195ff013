"""Every kind of number in the demo's table, on its real rows, against enumeration.

The vocabulary is cut to the target's eight most likely tokens, small enough for all 256 subsets
and all ordered draft tuples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mdbound import bounds
from mdbound.analysis.demo import HELD_OUT_TEXT, demo_settings
from mdbound.analysis.solving.setting_distributions import most_likely
from mdbound.analysis.solving.solve_batch import solve_batch
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.store.cache import LogitsCache
from tests.oracles.acceptance_over_all_sets import (
    brute_force_acceptance,
    contained_greedy,
    contained_independent,
    contained_with_replacement,
    contained_without_replacement,
)

VOCABULARY = 8
CONTAINED = {
    "with_replacement": contained_with_replacement,
    "without_replacement": contained_without_replacement,
    "greedy": contained_greedy,
}


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    out = tmp_path_factory.mktemp("tiny") / "capture"
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(HELD_OUT_TEXT,),
            out=out,
            max_positions=2,
            limit=3,
        )
    )
    return next(LogitsCache.open(out).iter_batches())


def distribution(logits, kept, temperature):
    """Softmax over the kept tokens alone: (V,) logits to (8,) probabilities."""
    return bounds.distribution_from_logits(logits[kept].astype(np.float64), temperature)


@pytest.mark.parametrize("setting", demo_settings(("tiny-draft",)), ids=lambda s: s.sampling)
def test_demo_rows_equal_enumeration_on_eight_tokens(batch, setting):
    cut = replace(setting, vocabulary_size=VOCABULARY, vocabulary_of="target")
    rows = solve_batch(batch.positions, batch.logits, [cut])
    found = rows["acceptance"].to_numpy().reshape(-1, len(cut.num_drafts))
    target, draft = batch.logits["target"], batch.logits["tiny-draft"]
    kept = most_likely(target, VOCABULARY)
    for row in range(len(found)):
        p = distribution(target[row], kept[row], cut.warpers.temperature)
        q = [distribution(draft[row], kept[row], one) for one in cut.draft_temperatures]
        for n in cut.num_drafts:
            if cut.sampling == "independent":
                contained = contained_independent(q[:n])
            else:
                contained = CONTAINED[cut.sampling](q[0], n)
            assert found[row, n - 1] == pytest.approx(
                brute_force_acceptance(p, contained), abs=1e-12
            )
