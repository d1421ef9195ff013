"""The bound by depth from captured paths: unbiased at every threshold, never below an optimum."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from mdbound import trees
from mdbound.analysis.statistics.halves import halves
from mdbound.analysis.trees.depth_terms import COARSE_THRESHOLDS, LOG_THRESHOLDS, depth_terms
from mdbound.errors import InvalidSettingError
from mdbound.trees.seeded_models import seeded_pair
from mdbound.trees.verifiers.rows import RowArrays


def mean_terms(target: Any, draft: Any, law: trees.Paths) -> np.ndarray:
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    total = np.zeros((law.length, len(LOG_THRESHOLDS)))
    for tree, mass in law.trees(draft):
        total += float(mass) * depth_terms(*rows, tree, law)
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


def below_threshold(target: Any, draft: Any, depth: int, threshold: float) -> float:
    """p of strings of a depth whose ratio is below a threshold, string by string."""
    total = 0.0
    for string in product(range(len(target[()])), repeat=depth):
        p = q = 1.0
        for place, token in enumerate(string):
            p, q = p * target[string[:place]][token], q * draft[string[:place]][token]
        total += p if p < threshold * q else 0.0
    return total


def lists_of(row: Any, count: int) -> dict[tuple[int, ...], float]:
    """Lists drawn without replacement, in the order of their draws, until the support ends."""
    found: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(count):
        longer: dict[tuple[int, ...], float] = {}
        for drawn, mass in found.items():
            left = {t: float(q) for t, q in enumerate(row) if q > 0 and t not in drawn}
            if not left:
                longer[drawn] = longer.get(drawn, 0.0) + mass
            for token, q in left.items():
                longer[*drawn, token] = mass * q / sum(left.values())
        found = longer
    return found


def inside_by_lists(
    target: Any, draft: Any, slots: Any, node: Any, slot: Any, ratio: float, at: tuple[int, float]
) -> float:
    """P(all nodes of a depth have a ratio below the threshold), below a node, by recursion."""
    depth, threshold = at
    count = slots.num_children(slot)
    if not count:
        return 1.0
    total = 0.0
    for drawn, mass in lists_of(draft[node], count).items():
        share = mass
        for rank, token in enumerate(drawn):
            own = ratio * float(target[node][token]) / float(draft[node][token])
            if len(node) + 1 == depth:
                share *= own < threshold
            else:
                below = ((*node, token), (*slot, rank), own, at)
                share *= inside_by_lists(target, draft, slots, *below)
        total += share
    return total


TOPOLOGIES = ([[0], [1], [0, 0], [0, 1]], [[0], [1], [0, 0], [1, 0], [1, 1], [0, 0, 0]])


@pytest.mark.parametrize("slots", TOPOLOGIES)
@pytest.mark.parametrize("seed", range(2))
def test_terms_of_trees_without_replacement(slots: list[list[int]], seed: int) -> None:
    topology = trees.topology_from_json(str(slots))
    law = trees.Branching(topology, "without_replacement")
    target, draft = seeded_pair("language", 3, law.depth, 23, seed)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    found = np.zeros((law.depth, len(COARSE_THRESHOLDS)))
    for tree, mass in law.trees(draft):
        found += float(mass) * depth_terms(*rows, tree, law)
    for depth in range(law.depth):
        for place, threshold in enumerate(np.exp(COARSE_THRESHOLDS)):
            at = (depth + 1, float(threshold))
            inside = inside_by_lists(target, draft, topology, (), (), 1.0, at)
            expected = 1.0 + below_threshold(target, draft, *at) - inside
            assert found[depth, place] == pytest.approx(expected, abs=1e-10)
    smallest = found.min(axis=1).sum()
    assert smallest >= trees.optimal_value(target, draft, law, "carried").value - 1e-9


def test_lists_of_other_laws_have_no_such_terms() -> None:
    row = np.array([0.5, 0.5])
    law = trees.Branching((2,), "greedy")
    with pytest.raises(InvalidSettingError, match="the bound by depth: `sampling` 'greedy'"):
        depth_terms({(): row}, {(): row}, trees.DraftedTree({(): (0, 1)}), law)


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
    one, other = halves(list(range(9)) * 3)
    assert sorted([*one, *other]) == list(range(9))
    assert abs(len(one) - len(other)) == 1
