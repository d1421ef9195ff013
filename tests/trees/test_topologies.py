"""Topologies by name, from JSON and by search; what is none is refused."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from mdbound import trees
from mdbound.errors import InvalidSettingError

F = Fraction
P = (F(1, 2), F(1, 5), F(1, 10), F(1, 20))


def test_names() -> None:
    sizes = {name: trees.topology(name) for name in ("2x4", "4x3", "1x5", "eagle_sparse_25")}
    found = {name: (one.size, one.depth, len(one.internal)) for name, one in sizes.items()}
    assert found == {
        "2x4": (30, 4, 15),
        "4x3": (84, 3, 21),
        "1x5": (5, 5, 5),
        "eagle_sparse_25": (25, 5, 11),
    }
    by_depth = Counter(len(slot) for slot in sizes["eagle_sparse_25"].slots)
    assert [by_depth[d] for d in range(1, 6)] == [4, 8, 8, 3, 2]


def test_delayed_is_a_trunk_and_paths_below_it() -> None:
    found = trees.topology("delayed-3-2-4")
    assert found.depth == 6
    assert found.size == 2 + 3 * 4
    assert [found.num_children((0,) * d) for d in range(3)] == [1, 1, 3]


def test_json_goes_round(tmp_path: Path) -> None:
    file = tmp_path / "tree.json"
    file.write_text(trees.topology("eagle_sparse_25").as_json())
    assert trees.topology(file) == trees.topology("eagle_sparse_25")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[0], [0]]", "twice"),
        ("[[1]]", r"without \[0\]"),
        ("[[0, 0]]", "without"),
        ("[]", "0 nodes"),
        ("[[]]", "ranks from 0"),
        ("[[-1]]", "ranks from 0"),
        ("{}", "list of lists"),
        ("[[0.5]]", "list of lists"),
        ("[[true]]", "list of lists"),
        ("[" * 100_000, "no JSON"),
        ("nonsense", "no JSON"),
    ],
)
def test_files_that_hold_none(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "tree.json"
    file.write_text(text)
    with pytest.raises(InvalidSettingError, match=says):
        trees.topology(file)


@pytest.mark.parametrize("name", ["0x3", "9x9", "1000x1", "2x", "nowhere.json", "delayed-1-0-2"])
def test_names_of_none(name: str) -> None:
    if name == "1000x1":
        assert trees.topology(name).size == 1000
        return
    with pytest.raises(InvalidSettingError):
        trees.topology(name)


def test_a_folder_or_a_large_file_is_no_topology(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="no name and no file"):
        trees.topology(tmp_path)
    large = tmp_path / "large.json"
    large.write_text("[" + "[0]," * 300_000 + "[0]]")
    with pytest.raises(InvalidSettingError, match="bytes"):
        trees.topology(large)


def value(slots: tuple[tuple[int, ...], ...]) -> Fraction:
    return sum((math.prod((P[k] for k in slot), start=F(1)) for slot in slots), F(0))


def all_topologies(size: int, depth: int, children: int) -> set[frozenset[tuple[int, ...]]]:
    """Every topology of so many nodes, grown node by node."""
    found: set[frozenset[tuple[int, ...]]] = {frozenset()}
    for _ in range(size):
        grown = set()
        for tree in found:
            for parent in ((), *tree):
                rank = sum(len(s) == len(parent) + 1 and s[:-1] == parent for s in tree)
                if len(parent) < depth and rank < children:
                    grown.add(tree | {(*parent, rank)})
        found = grown
    return found


@pytest.mark.parametrize("budget", range(1, 7))
def test_search_is_the_best_of_all_topologies(budget: int) -> None:
    found, tree = trees.search(lambda _, b: P[:b], budget, 4, 3)
    assert (
        found == value(tree.slots) == max(value(tuple(one)) for one in all_topologies(budget, 4, 3))
    )
    assert found == (F(1, 2), F(3, 4), F(19, 20), F(43, 40), F(47, 40), F(51, 40))[budget - 1]


def test_search_beats_the_sparse_tree_of_eagle() -> None:
    assert value(trees.topology("eagle_sparse_25").slots) == F(1587, 800)
    found, tree = trees.search(lambda _, b: P[:b], 25, 5, 4)
    assert (found, tree.size) == (F(1627, 800), 25)


def test_search_with_vectors_that_are_not_nested() -> None:
    """Two children share what one has: a rule for two may give the first one less."""
    vectors = {1: [F(3, 4)], 2: [F(9, 20), F(9, 20)], 3: [F(1, 3)] * 3}

    def best(tree: frozenset[tuple[int, ...]]) -> Fraction:
        total = F(0)
        for slot in tree:
            worth = F(1)
            for d in range(len(slot)):
                siblings = sum(len(s) == d + 1 and s[:d] == slot[:d] for s in tree)
                worth *= vectors[siblings][slot[d]]
            total += worth
        return total

    for budget in range(1, 6):
        every = itertools.chain.from_iterable(
            all_topologies(size, 3, 3) for size in range(1, budget + 1)
        )
        found, _ = trees.search(lambda _, b: vectors[b], budget, 3, 3)
        assert found == max(best(tree) for tree in every)


@pytest.mark.parametrize("vector", [[0.5, 0.5, 0.5], [1.5], [float("nan")], [-0.1]])
def test_search_refuses_what_is_no_vector(vector: list[float]) -> None:
    with pytest.raises(InvalidSettingError, match="probabilities"):
        trees.search(lambda *_: vector, 2, 1, 1)
