"""Points of paths: uniform over all paths, and the largest of them as drawn and as computed."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mdbound import trees
from mdbound.trees.seeded_models import seeded_pair
from mdbound.trees.verifiers.quantile.items import EachToken, RoundedRatios, items_of
from mdbound.trees.verifiers.quantile.points import largest_point, point_pieces
from mdbound.trees.verifiers.quantile.verifier import Quantile
from mdbound.trees.verifiers.rows import RowArrays

F = Fraction
BINS = [[F(1, 2), F(1), F(2)], [F(2, 3), F(3, 2)], [F(1)]]


@pytest.mark.parametrize("seed", range(4))
def test_points_of_drafted_paths_are_uniform(seed: int) -> None:
    """The mass of all pieces over all paths, weighted by q, is the length of every interval."""
    target, draft = seeded_pair("uniform", 3, 3, 31, seed, exact=True)
    p, q = RowArrays(target, "target"), RowArrays(draft, "draft")
    pieces: list[tuple[Any, Any, Any]] = []
    for tree, mass in trees.Paths(1, 3).trees(draft):
        path = tree.first_path()
        items = [
            items_of(p[path[:d]], q[path[:d]], np.array(BINS[d], dtype=object), EachToken())
            for d in range(3)
        ]
        law = point_pieces(items, path)
        assert sum(one[2] for one in law) == 1
        pieces += [(low, width, mass * share) for low, width, share in law]
    for level in (F(1, 7), F(1, 2), F(9, 10)):
        below = sum(
            share * min(max((level - low) / width, F(0)), F(1)) for low, width, share in pieces
        )
        assert below == level


def test_largest_of_three_by_integration() -> None:
    laws = [
        [(F(0), F(1, 2), F(1, 3)), (F(1, 2), F(1, 2), F(2, 3))],
        [(F(1, 4), F(1, 2), F(1))],
        [(F(0), F(1), F(1))],
    ]
    found = largest_point(laws)
    assert sum(found) == 1
    rng = np.random.default_rng(0)
    size = 200_000
    first = np.where(rng.random(size) < 1 / 3, rng.random(size) / 2, 0.5 + rng.random(size) / 2)
    points = np.stack([first, 0.25 + rng.random(size) / 2, rng.random(size)])
    shares = Counter(points.argmax(axis=0).tolist())
    for k in range(3):
        assert shares[k] / size == pytest.approx(float(found[k]), abs=0.006)


@pytest.mark.parametrize("step", [None, 0.05, 0.5])
def test_selected_rows_are_the_law_of_the_winner(step: float | None) -> None:
    """Sum over pairs of paths of P(winner) against the product of rows of g."""
    target, draft = seeded_pair("language", 3, 2, 32, 0)
    p, q = RowArrays(target, "target"), RowArrays(draft, "draft")
    rule = Quantile(step=step)
    won: dict[tuple[int, ...], float] = {}
    for tree, mass in trees.Paths(3, 2).trees(draft):
        for path, share in rule.winners(p, q, tree).items():
            won[path] = won.get(path, 0.0) + float(mass) * float(share)
    for path, mass in won.items():
        rows = rule.selected_rows(p, q, path, 3)
        assert rows[0][path[0]] * rows[1][path[1]] == pytest.approx(mass, abs=1e-12)


@pytest.mark.parametrize("step", [0.05, 0.5])
def test_rounded_scores_are_lossless(step: float) -> None:
    target, draft = seeded_pair("language", 3, 2, 33, 1)
    law = trees.block_law(target, draft, trees.Paths(2, 2), Quantile(step=step))
    for first in range(3):
        for second in range(3):
            total = law.get(((), first), 0.0) * target[(first,)][second]
            total += law.get(((first,), second), 0.0)
            total += sum(law.get(((first, second), t), 0.0) for t in range(3))
            assert total == pytest.approx(target[()][first] * target[(first,)][second], abs=1e-12)


def test_merged_copies_are_not_lossless() -> None:
    """The control: equal paths that share one point are selected with another law."""
    target, draft = seeded_pair("language", 3, 2, 33, 1)
    p, q = RowArrays(target, "target"), RowArrays(draft, "draft")
    rule = Quantile()
    won: dict[tuple[int, ...], float] = {}
    for tree, mass in trees.Paths(3, 2).trees(draft):
        distinct = trees.tree_of_paths(list(dict.fromkeys(tree.paths())))
        three = rule.bins(2, 3)
        merged = Quantile(bins=[[float(x) for x in each] for each in three])
        for path, share in merged.winners(p, q, distinct).items():
            won[path] = won.get(path, 0.0) + float(mass) * float(share)
    worst = 0.0
    for path, mass in won.items():
        rows = rule.selected_rows(p, q, path, 3)
        worst = max(worst, abs(mass - rows[0][path[0]] * rows[1][path[1]]))
    assert worst > 1e-3


def test_classes_of_rounded_ratios_cover_zeros() -> None:
    p, q = np.array([0.0, 0.5, 0.5, 0.0]), np.array([0.5, 0.0, 0.5, 0.0])
    classes, scores = RoundedRatios(0.05).of(p, q)
    assert scores[classes[0]] == pytest.approx(np.exp(-3.0))
    assert scores[classes[1]] == pytest.approx(np.exp(8.0))
    assert scores[classes[2]] == pytest.approx(1.0)
    assert classes[3] == classes[1]
