"""Block verification of one path: the first one, or the one that is largest in an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.oracles.path_verification import Model, Prefix
from tests.oracles.trees.cases import Case, Tree
from tests.oracles.trees.dice import ONE, ZERO, Dice, Number
from tests.oracles.trees.node_by_node import Block, Run

Key = Callable[[Case, Prefix], Any]
"""What paths are compared by; the largest is selected."""


def verify_block(dice: Dice, target: Model, draft: Model, path: Prefix) -> Block:
    """From the last token back, until a coin succeeds."""
    weights = [ONE]
    for place, token in enumerate(path):
        p, q = target[path[:place]], draft[path[:place]]
        weights.append(min(ONE, weights[-1] * p[token] / q[token]))
    if dice.coin(weights[-1]):
        return path, dice.pick(target[path])
    for length in range(len(path) - 1, -1, -1):
        node, weight = path[:length], weights[length]
        left = [max(ZERO, weight * a - b) for a, b in zip(target[node], draft[node], strict=True)]
        if length == 0 or dice.coin(sum(left) / (sum(left) + 1 - weight)):
            return node, dice.pick(left)
    raise AssertionError("the context is always accepted")


def first_path(tree: Tree) -> Prefix:
    node: Prefix = ()
    while node in tree.lists:
        node = (*node, tree.tokens(node)[0])
    return node


def block_first_path(case: Case) -> Run:
    return lambda dice, tree: verify_block(dice, case.target, case.model(0), first_path(tree))


def by_ratio(case: Case, path: Prefix) -> tuple[tuple[Number, int], ...]:
    """Token by token the ratio p/q; among equal ones the lower token id."""
    return tuple(
        (case.target[path[:i]][token] / case.model(0)[path[:i]][token], -token)
        for i, token in enumerate(path)
    )


def by_clipped_ratio(case: Case, path: Prefix) -> tuple[tuple[Number, int], ...]:
    return tuple((min(ONE, ratio), rank) for ratio, rank in by_ratio(case, path))


def rows_of(law: dict[Prefix, Number], case: Case) -> Model:
    """The law of a path, token after token; rows that are never reached are missing."""
    reached: dict[Prefix, Number] = {}
    for path, mass in law.items():
        for length in range(len(path) + 1):
            reached[path[:length]] = reached.get(path[:length], ZERO) + mass
    return {
        node: tuple(reached.get((*node, t), ZERO) / mass for t in range(case.vocab_size))
        for node, mass in reached.items()
        if mass and len(node) < case.length
    }


def winners(case: Case, key: Key) -> dict[Prefix, Number]:
    """Law of the largest of the drafted paths, over every tuple of paths."""
    found: dict[Prefix, Number] = {}
    for tree, mass in case.trees().items():
        winner = max(tree.paths, key=lambda path: key(case, path))
        found[winner] = found.get(winner, ZERO) + mass
    return found


def largest(key: Key) -> Callable[[Case], Run]:
    def verifier(case: Case) -> Run:
        draft = rows_of(winners(case, key), case)

        def run(dice: Dice, tree: Tree) -> Block:
            winner = max(tree.paths, key=lambda path: key(case, path))
            return verify_block(dice, case.target, draft, winner)

        return run

    return verifier


def ties_by_draft_order(case: Case) -> Run:
    """Wrong: ratios clipped at 1, the first drafted among equals wins, q_sel breaks ties by id."""
    draft = rows_of(winners(case, by_clipped_ratio), case)

    def ratios(path: Prefix) -> tuple[Number, ...]:
        return tuple(ratio for ratio, _ in by_clipped_ratio(case, path))

    def run(dice: Dice, tree: Tree) -> Block:
        return verify_block(dice, case.target, draft, max(tree.paths, key=ratios))

    return run


VERIFIERS: dict[str, Callable[[Case], Run]] = {
    "block_first_path": block_first_path,
    "gbv": largest(by_ratio),
}
