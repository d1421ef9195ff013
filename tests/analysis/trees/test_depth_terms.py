"""The bound by depth from captured paths: unbiased at every threshold, never below an optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from mdbound import trees
from mdbound.analysis.trees.bracket import halves
from mdbound.analysis.trees.depth_terms import LOG_THRESHOLDS, depth_terms
from mdbound.trees.seeded_models import seeded_pair
from mdbound.trees.verifiers.rows import RowArrays


def mean_terms(target: Any, draft: Any, law: trees.Paths) -> np.ndarray:
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    total = np.zeros((law.length, len(LOG_THRESHOLDS)))
    for tree, mass in law.trees(draft):
        total += float(mass) * depth_terms(*rows, tree.paths())
    return total


def terms_by_strings(target: Any, draft: Any, law: trees.Paths) -> np.ndarray:
    """1 + p(H) - q(H)^K over whole strings, H those of a ratio below the threshold."""
    found = np.empty((law.length, len(LOG_THRESHOLDS)))
    level: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 1.0)}
    for depth in range(law.length):
        level = {
            (*node, t): (p * target[node][t], q * draft[node][t])
            for node, (p, q) in level.items()
            for t in range(len(target[node]))
        }
        for place, threshold in enumerate(np.exp(LOG_THRESHOLDS)):
            inside = [pair for pair in level.values() if pair[0] < threshold * pair[1]]
            p, q = (sum(pair[side] for pair in inside) for side in (0, 1))
            found[depth, place] = 1 + p - q**law.num_paths
    return found


@pytest.mark.parametrize("size", [(3, 2, 2), (2, 3, 2), (2, 2, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_terms_are_unbiased_and_bound_both_optima(size: tuple[int, int, int], seed: int) -> None:
    vocab, length, count = size
    target, draft = seeded_pair("language", vocab, length, 21, seed)
    law = trees.Paths(count, length)
    found = mean_terms(target, draft, law)
    assert found == pytest.approx(terms_by_strings(target, draft, law), abs=1e-12)
    smallest = found.min(axis=1).sum()
    assert smallest >= trees.depth_bound(target, draft, law) - 1e-12
    assert smallest >= trees.optimal_value(target, draft, law, "carried").value - 1e-9


def test_one_path_in_place_of_its_weight_is_biased() -> None:
    """The control: without the ratio of the path's beginning the first part is another one."""
    target, draft = seeded_pair("language", 3, 2, 21, 0)
    law = trees.Paths(2, 2)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    wrong = 0.0
    for tree, mass in law.trees(draft):
        for path in tree.paths():
            p, q = rows[0][path[:1]], rows[1][path[:1]]
            wrong += float(mass) * p[p < q].sum() / 2
    at_one = int(np.argmin(abs(LOG_THRESHOLDS)))
    right = terms_by_strings(target, draft, trees.Paths(10_000, 2))[1, at_one] - 1
    assert abs(wrong - right) > 0.01


def test_zeros_of_either_model_are_no_trouble() -> None:
    target, draft = seeded_pair("uniform", 3, 2, 22, 0)
    law = trees.Paths(2, 2)
    assert np.isfinite(mean_terms(target, draft, law)).all()


def test_halves_share_no_document() -> None:
    one, other = halves(pl.DataFrame({"doc_id": list(range(9)) * 3}))
    assert sorted([*one, *other]) == list(range(9))
    assert abs(len(one) - len(other)) == 1
