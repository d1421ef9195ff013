"""Trees that the draft fixes: the most likely nodes, and the optimum on them."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from mdbound import trees
from mdbound.paths.tiny.model import Model, Prefix, strings
from mdbound.trees import TreeLaw
from mdbound.trees.seeded_models import seeded_pair

F = Fraction


def joint(model: Model, node: Prefix) -> Fraction:
    return F(math.prod((model[node[:d]][t] for d, t in enumerate(node)), start=F(1)))


def subtrees(vocab: int, depth: int, size: int) -> list[frozenset[Prefix]]:
    nodes = [node for d in range(1, depth + 1) for node in strings(vocab, d)]
    return [
        frozenset(chosen)
        for chosen in itertools.combinations(nodes, size)
        if all(len(node) == 1 or node[:-1] in chosen for node in chosen)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_wide_tree_has_the_largest_sum_of_draft_probabilities(seed: int, size: int) -> None:
    _, draft = seeded_pair("uniform", 2, 3, 41, seed, exact=True)
    ((tree, mass),) = trees.LikelyTree(size, 3, size).trees(draft)
    assert mass == 1
    found = sum(joint(draft, node) for node in tree.nodes())
    best = max(sum(joint(draft, node) for node in one) for one in subtrees(2, 3, size))
    # Nodes that the draft never comes to are left out, and add nothing.
    assert found == best


def test_a_narrow_tree_looks_at_fewer() -> None:
    rows = {(): (F(3, 5), F(2, 5)), (0,): (F(1, 2), F(1, 2)), (1,): (F(9, 10), F(1, 10))}
    ((narrow, _),) = trees.LikelyTree(3, 2, 1).trees(rows)
    assert set(narrow.nodes()) == {(0,), (0, 0)}
    ((wide, _),) = trees.LikelyTree(3, 2, 2).trees(rows)
    assert set(wide.nodes()) == {(0,), (1,), (1, 0)}


FIXED: list[TreeLaw] = [
    trees.LikelyTree(4, 2, 3),
    trees.Branching((2, 1), "top_k"),
    trees.Branching(trees.topology_from_json("[[0], [1], [0, 0], [0, 1]]"), "top_k"),
]


@pytest.mark.parametrize("law", FIXED, ids=lambda law: law.title())
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_the_mass_of_its_nodes_and_nss_reaches_it(law: TreeLaw, seed: int) -> None:
    target, draft = seeded_pair("uniform", 3, 2, 42, seed, exact=True)
    ((tree, _),) = law.trees(draft)
    mass = sum(joint(target, node) for node in tree.nodes())
    assert trees.expected_length(target, draft, law, "nss") == mass
    for state in ("one_call", "carried"):
        assert trees.optimal_value(target, draft, law, state).value == pytest.approx(
            float(mass), abs=1e-9
        )


def test_drawn_at_random_a_tree_of_the_same_size_can_be_better_or_worse() -> None:
    """A target more peaked than its draft is met by the likeliest tokens, another one is not."""
    drawn, fixed = trees.Branching((2, 1), "without_replacement"), trees.Branching((2, 1), "top_k")
    for row, sampling_pays in (((0.9, 0.05, 0.05), False), ((0.4, 0.35, 0.25), True)):
        nodes = [node for d in range(3) for node in strings(3, d)]
        target = dict.fromkeys(nodes, row)
        draft = dict.fromkeys(nodes, (0.45, 0.3, 0.25))
        gain = (
            trees.optimal_value(target, draft, drawn).value
            - trees.optimal_value(target, draft, fixed).value
        )
        assert (gain > 0.05) if sampling_pays else (gain < -0.05)
