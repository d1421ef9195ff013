"""The best topology for a budget of nodes, by a dynamic program over depths and children."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from mdbound.errors import InvalidSettingError
from mdbound.trees.topologies.topology import Slot, Topology

Acceptance: TypeAlias = Callable[[int, int], Sequence[Any]]
"""From the depth of a node and its number of children to P(the output is child k)."""

LARGEST_BUDGET = 1024
"""Nodes: the program is of the order of budget^2 * children^2 * depth."""


@dataclass(frozen=True)
class _Subtree:
    """The best that can hang below a node: its value, and the nodes given to each child."""

    value: Any
    shares: tuple[int, ...] = ()


def search(
    acceptance: Acceptance, budget: int, max_depth: int, max_children: int
) -> tuple[Any, Topology]:
    """The topology of at most so many nodes with the largest sum of acceptances.

    The k-th child of a node of depth d with b children is taken to be the output with probability
    P_d^(b)[k], whatever the node is (Sequoia's positional assumption); the value of a tree is the
    sum over its nodes of the products along their paths: E tau under that assumption. What a
    topology found is worth is for the estimators to say.

    Args:
        acceptance: `acceptance(d, b)` is P_d^(b), b numbers, for nodes of depth d (0 the context)
            with b children. Rules need not be nested: P^(3) need not begin with P^(2).
        budget: nodes of the tree, the context not counted.
        max_depth: tokens of the longest path.
        max_children: most children of a node.

    Returns:
        Value and topology; fractions give a fraction.

    Raises:
        InvalidSettingError: a number below 1, a budget above `LARGEST_BUDGET`, or a vector of
            another length or with numbers outside [0, 1].

    Source: Chen et al. 2024 (Sequoia), whose program counts the root and has one vector for all.

    Example:
        >>> value, tree = search(lambda depth, children: [0.5, 0.25][:children], 3, 2, 2)
        >>> value, tree.slots
        (1.0, ((0,), (0, 0), (1,)))
    """
    for name, number in (
        ("budget", budget),
        ("max_depth", max_depth),
        ("max_children", max_children),
    ):
        if type(number) is not int or number < 1:
            raise InvalidSettingError(f"`{name}` is {number!r}: give a whole number, 1 or more")
    if budget > LARGEST_BUDGET:
        raise InvalidSettingError(f"`budget` is {budget}: give {LARGEST_BUDGET} or less")
    below = [_Subtree(0)] * (budget + 1)
    levels: list[list[_Subtree]] = []
    for depth in range(max_depth - 1, -1, -1):
        below = _best_of_depth(acceptance, depth, max_children, below)
        levels.insert(0, below)
    return below[budget].value, Topology(tuple(_slots((), 0, budget, levels)))


def _best_of_depth(
    acceptance: Acceptance, depth: int, max_children: int, below: list[_Subtree]
) -> list[_Subtree]:
    """For each budget the best subtree under a node of this depth; `below` is that of children."""
    best = [_Subtree(0)] * len(below)
    for children in range(1, min(max_children, len(below) - 1) + 1):
        vector = _checked(acceptance(depth, children), depth, children)
        found: list[_Subtree | None] = [_Subtree(0), *[None] * (len(below) - 1)]
        for share in vector:
            found = _with_child(share, found, below)
        for budget, one in enumerate(found):
            if one is not None and one.value > best[budget].value:
                best[budget] = one
    for budget in range(1, len(best)):
        if best[budget - 1].value > best[budget].value:
            best[budget] = best[budget - 1]
    return best


def _with_child(
    share: Any, found: list[_Subtree | None], below: list[_Subtree]
) -> list[_Subtree | None]:
    """Give one child more, with every number of nodes below it that still fits."""
    better: list[_Subtree | None] = [None] * len(found)
    for used, one in enumerate(found):
        if one is None:
            continue
        for given in range(len(found) - used - 1):
            value = one.value + share * (1 + below[given].value)
            known = better[used + 1 + given]
            if known is None or value > known.value:
                better[used + 1 + given] = _Subtree(value, (*one.shares, given))
    return better


def _slots(slot: Slot, depth: int, budget: int, levels: list[list[_Subtree]]) -> list[Slot]:
    if depth == len(levels):
        return []
    found: list[Slot] = []
    for rank, given in enumerate(levels[depth][budget].shares):
        child = (*slot, rank)
        found += [child, *_slots(child, depth + 1, given, levels)]
    return found


def _checked(vector: Sequence[Any], depth: int, children: int) -> Sequence[Any]:
    inside = all(0 <= value <= 1 for value in vector)
    if len(vector) != children or not inside:
        raise InvalidSettingError(
            f"`acceptance` of depth {depth} and {children} children is {list(vector)}: give as "
            "many probabilities"
        )
    return vector
