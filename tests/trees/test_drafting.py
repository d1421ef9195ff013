"""Draft laws on trees: trees that are drawn have the probabilities that are enumerated."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mdbound import trees
from mdbound.errors import InvalidSettingError
from mdbound.trees import DraftedTree, TreeLaw
from mdbound.trees.seeded_models import seeded_pair

F = Fraction
LAWS: list[TreeLaw] = [
    trees.Paths(2, 2),
    trees.DelayedPaths(2, 1, 1),
    trees.Branching((2, 2), "with_replacement"),
    trees.Branching((2, 1), "without_replacement"),
    trees.Branching((2, 2), "greedy"),
    trees.Branching(trees.topology_from_json("[[0], [1], [0, 0], [0, 1]]"), "top_k"),
]


def key(tree: DraftedTree) -> tuple[Any, ...]:
    return tuple(sorted(tree.drafted.items()))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.title())
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_of_all_trees_sum_to_one(law: TreeLaw, seed: int) -> None:
    _, draft = seeded_pair("uniform", 3, 2, 5, seed, exact=True)
    found = list(law.trees(draft))
    assert sum(mass for _, mass in found) == 1
    assert all(mass > 0 for _, mass in found)
    assert len({key(tree) for tree, _ in found}) == len(found) <= law.most_trees(3)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.title())
def test_drawn_trees_have_the_enumerated_law(law: TreeLaw) -> None:
    _, draft = seeded_pair("language", 3, 2, 6, 0)
    expected = {key(tree): float(mass) for tree, mass in law.trees(draft)}
    rng = np.random.default_rng(0)
    runs = 4000
    counts: Counter[tuple[Any, ...]] = Counter()
    for _ in range(runs):
        growth = law.grow(rng)
        nodes = next(growth)
        while True:
            try:
                nodes = growth.send([np.array(draft[node]) for node in nodes])
            except StopIteration as end:
                counts[key(end.value)] += 1
                break
    assert set(counts) <= set(expected)
    for tree, mass in expected.items():
        error = (mass * (1 - mass) / runs) ** 0.5
        assert abs(counts[tree] / runs - mass) < 5 * error + 3 / runs  # a rare tree may come once


def test_paths_of_different_drafts() -> None:
    """Each path is drawn from its own model: the law is the product, in the order of the paths."""
    models = [seeded_pair("uniform", 2, 2, 8, k, exact=True)[1] for k in range(2)]
    found: dict[tuple[Any, ...], Fraction] = {}
    for tree, mass in trees.Paths(2, 2).trees(models):
        assert isinstance(mass, Fraction)
        found[tree.paths()] = found.get(tree.paths(), F(0)) + mass
    for (one, two), mass in found.items():
        alone = [
            model[()][path[0]] * model[path[:1]][path[1]]
            for model, path in zip(models, (one, two), strict=True)
        ]
        assert mass == alone[0] * alone[1]
    with pytest.raises(InvalidSettingError, match="3 paths"):
        list(trees.Paths(3, 1).trees(models))
    with pytest.raises(InvalidSettingError, match="takes one"):
        list(trees.Branching((2,)).trees(models))


def test_delayed_paths_part_at_the_end_of_the_trunk() -> None:
    _, draft = seeded_pair("language", 3, 3, 6, 1)
    for tree, _ in trees.DelayedPaths(2, 1, 1).trees(draft):
        assert len(tree.drafted[()]) == 1
        assert len(tree.drafted[tree.first_path()[:1]]) == 2


def test_paths_go_round() -> None:
    paths = ((1, 2), (0, 1), (1, 2), (1, 0))
    tree = trees.tree_of_paths(paths)
    assert tree.paths() == paths
    assert tree.first_path() == (1, 2)
    assert list(tree.nodes()) == [(1,), (1, 2), (1, 0), (0,), (0, 1)]
    with pytest.raises(InvalidSettingError, match="tree of i"):
        DraftedTree({(): (0, 1), (0,): (1, 1)}).paths()


@pytest.mark.parametrize("bad", [(0, 2), (2, 0), (True, 2), (2, 1.5)])
def test_numbers_of_paths(bad: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidSettingError, match="whole number"):
        trees.Paths(*bad)


def test_unknown_laws_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="did you mean 'without_replacement'"):
        trees.Branching((2,), "without_replacemnt")
