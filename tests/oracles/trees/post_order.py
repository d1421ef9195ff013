"""Verifiers that look at a child's whole subtree before the next child: traversal and UniVer."""

from __future__ import annotations

from collections.abc import Callable

from tests.oracles.path_verification import Prefix
from tests.oracles.trees.cases import Case, Tree
from tests.oracles.trees.dice import ONE, ZERO, Dice, Number
from tests.oracles.trees.node_by_node import Block, Run, off

Next = Callable[["Pruned", list[Prefix]], Prefix]
"""Which of the present leaves is looked at."""
NewWeight = Callable[[Number, Number, Number], Number]
"""From the sum s, the old weight and q of the removed child."""


class Pruned:
    """A tree that loses its leaves: present rows and weights at every node that is left."""

    def __init__(self, case: Case, tree: Tree) -> None:
        self.children = {node: tree.children(node) for node in tree.lists}
        self.p = {node: list(case.target[node]) for node in [(), *tree.nodes()]}
        self.q = {node: list(case.model(0)[node]) for node in tree.lists}
        self.weight: dict[Prefix, Number] = {(): ONE}
        self.drafted = tree.paths
        self.weigh_below(())

    def weigh_below(self, node: Prefix) -> None:
        for token in self.children.get(node, []):
            share = self.weight[node] * self.p[node][token] / self.q[node][token]
            self.weight[*node, token] = min(ONE, share)
            self.weigh_below((*node, token))

    def leaves(self, node: Prefix = ()) -> list[Prefix]:
        """Depth first: children in the order of their first draws."""
        below = [leaf for t in self.children.get(node, []) for leaf in self.leaves((*node, t))]
        return below or [node]

    def remove(self, leaf: Prefix, new_weight: NewWeight) -> None:
        node, token = leaf[:-1], leaf[-1]
        p, q, weight = self.p[node], self.q[node], self.weight[node]
        left = [max(ZERO, weight * a - b) for a, b in zip(p, q, strict=True)]
        self.weight[node] = new_weight(sum(left, ZERO), weight, q[token])
        if any(left):
            self.p[node] = [one / sum(left) for one in left]
        rest = [ZERO if t == token else mass for t, mass in enumerate(q)]
        self.q[node] = [mass / sum(rest) for mass in rest] if any(rest) else rest
        self.children[node].remove(token)
        self.weigh_below(node)


def depth_first(tree: Pruned, leaves: list[Prefix]) -> Prefix:
    return leaves[0]


def first_seen(tree: Pruned, leaves: list[Prefix]) -> Prefix:
    """Nodes numbered as paths bring them, which parts a subtree whose paths are not neighbours."""
    numbers: dict[Prefix, int] = {}
    for path in tree.drafted:
        for length in range(len(path) + 1):
            numbers.setdefault(path[:length], len(numbers))
    return min(leaves, key=lambda leaf: numbers[leaf])


def right_weight(total: Number, weight: Number, drafted: Number) -> Number:
    return total / (total + 1 - weight) if total else ZERO


def weight_by_removed_mass(total: Number, weight: Number, drafted: Number) -> Number:
    return min(ONE, total / (1 - drafted)) if drafted < 1 else ZERO


def traversal_with(choose: Next, new_weight: NewWeight) -> Callable[[Case], Run]:
    def verifier(case: Case) -> Run:
        def run(dice: Dice, tree: Tree) -> Block:
            left = Pruned(case, tree)
            while True:
                leaf = choose(left, left.leaves())
                if not leaf or dice.coin(left.weight[leaf]):
                    return leaf, dice.pick(left.p[leaf])
                left.remove(leaf, new_weight)

        return run

    return verifier


def univer(case: Case) -> Run:
    """For greedy lists: the sampled child's subtree, then the most likely ones, then the node.

    The last token of a list counts as sampled, also where the support ended before the list did.
    """

    def run(dice: Dice, tree: Tree) -> Block:
        block = look_at((), ONE, dice, tree)
        assert block is not None, "the context is always accepted"
        return block

    def look_at(node: Prefix, weight: Number, dice: Dice, tree: Tree) -> Block | None:
        """The block that ends at or below a node, or nothing where the node is rejected."""
        p = case.target[node]
        if node not in tree.lists:
            return (node, dice.pick(p)) if dice.coin(weight) else None
        shares, left, reject = split(node, weight, tree)
        decided = ZERO
        for token, share in shares:
            if decided == 1:
                return None
            block = look_at((*node, token), share / (1 - decided), dice, tree)
            if block is not None:
                return block
            decided += share
        stopping = sum(left, ZERO)
        if dice.coin(stopping / (stopping + reject)):
            return node, dice.pick(left)
        return None

    def split(
        node: Prefix, weight: Number, tree: Tree
    ) -> tuple[list[tuple[int, Number]], list[Number], Number]:
        """Masses of the children in the order of their turns, of each residual token, of none."""
        p, (*top, sampled) = case.target[node], tree.tokens(node)
        h = off(top, list(case.model(0)[node]))
        over = [max(ZERO, weight * a - b) for a, b in zip(p, h, strict=True)]
        bottom = 1 - weight + sum(over)
        kept = min(ONE, weight * p[sampled] / h[sampled])
        scale = (1 - kept) / bottom if bottom else ZERO
        shares = [(sampled, kept), *((token, scale * weight * p[token]) for token in top)]
        left = [ZERO if t in top else scale * one for t, one in enumerate(over)]
        return shares, left, scale * (1 - weight)

    return run


VERIFIERS: dict[str, Callable[[Case], Run]] = {
    "traversal": traversal_with(depth_first, right_weight),
    "univer": univer,
}
