"""Selection of the path with the largest quantile score, bin by bin, and block verification of it.

A path's point is uniform in an interval of the root, which is known once the hidden bins are drawn.
So points are compared interval by interval, and inside one interval every path is as likely to be
the largest as another: nothing has to be integrated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from tests.oracles.path_verification import ONE, Model, Prefix
from tests.oracles.trees.cases import Case, Tree
from tests.oracles.trees.dice import Dice, Number, law
from tests.oracles.trees.node_by_node import Block, Run
from tests.oracles.trees.selected_path import rows_of, verify_block

Bins = Sequence[Sequence[Number]]
"""Multipliers of the ratio by depth, one for each bin of a child; one bin at the last depth."""
Item = tuple[int, int]
"""A token and the bin of the child."""


def intervals(case: Case, bins: Bins, node: Prefix) -> dict[Item, tuple[Number, Number]]:
    """Items of a node tile [0, 1): by ratio times multiplier, then token, then bin."""
    p, q, multipliers = case.target[node], case.model(0)[node], bins[len(node)]
    items = sorted(
        (p[t] / q[t] * multiplier, t, j)
        for t in range(case.vocab_size)
        if q[t]
        for j, multiplier in enumerate(multipliers)
    )
    found, low = {}, Fraction(0)
    for _, t, j in items:
        found[t, j] = (low, low + q[t] / len(multipliers))
        low = found[t, j][1]
    assert low == 1
    return found


def root_interval(dice: Dice, case: Case, bins: Bins, path: Prefix) -> tuple[Number, Number]:
    """From the last token up: a point in the token's interval, of which the parent sees the bin."""
    own = 0
    for depth in range(len(path) - 1, -1, -1):
        low, up = intervals(case, bins, path[:depth])[path[depth], own]
        if depth:
            count = len(bins[depth - 1])
            own = dice.pick([overlap(low, up, j, count) for j in range(count)])
    return low, up


def overlap(low: Number, up: Number, j: int, count: int) -> Number:
    return max(Fraction(0), min(up, Fraction(j + 1, count)) - max(low, Fraction(j, count)))


def select(dice: Dice, case: Case, bins: Bins, paths: Sequence[Prefix]) -> Prefix:
    """The path with the largest point."""
    places = [root_interval(dice, case, bins, path) for path in paths]
    return paths[dice.pick([ONE if place == max(places) else ONE * 0 for place in places])]


def all_paths(tree: Tree) -> Sequence[Prefix]:
    return tree.paths


def without_copies(tree: Tree) -> Sequence[Prefix]:
    """Wrong: equal paths get one point together."""
    return tuple(dict.fromkeys(tree.paths))


def winners(case: Case, bins: Bins) -> dict[Prefix, Number]:
    """Law of the selected path, over every tuple of paths, bin and tie."""
    return law(lambda dice: select(dice, case, bins, all_paths(case.draw(dice))))


def quantile(
    bins: Bins,
    candidates: Callable[[Tree], Sequence[Prefix]] = all_paths,
    *,
    against_draft: bool = False,
) -> Callable[[Case], Run]:
    """The verifier; `against_draft` is wrong: it tests the selected path against q itself."""

    def verifier(case: Case) -> Run:
        draft: Model = case.drafts[0] if against_draft else rows_of(winners(case, bins), case)

        def run(dice: Dice, tree: Tree) -> Block:
            winner = select(dice, case, bins, candidates(tree))
            return verify_block(dice, case.target, draft, winner)

        return run

    return verifier
