"""Drafted trees as sets of nodes: what the optima see of a draft law."""

from __future__ import annotations

from typing import TypeAlias

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Number, Prefix, row_of
from mdbound.trees.drafting.tree_law import Drafts, TreeLaw

NodeSets: TypeAlias = dict[frozenset[Prefix], Number]
"""Probability of each set of nodes, the context in all of them."""

MOST_TREES = 300_000
"""Trees in the order of their draws that are enumerated: as many take some ten seconds."""


def node_sets(target: Model, draft: Drafts, law: TreeLaw) -> NodeSets:
    """Every set of nodes that can be drafted, with its probability.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, or more than `MOST_TREES` trees.

    Example:
        >>> from mdbound.trees import Paths
        >>> model = {(): (0.5, 0.5)}
        >>> found = node_sets(model, model, Paths(2, 1))
        >>> sorted((len(nodes) - 1, mass) for nodes, mass in found.items())
        [(1, 0.25), (1, 0.25), (2, 0.5)]
    """
    vocab_size = len(row_of(target, (), "target"))
    count = law.most_trees(vocab_size)
    if count > MOST_TREES:
        raise InvalidSettingError(
            f"`law` {law.title()} has up to {count:.3g} trees over {vocab_size} tokens, more than "
            f"{MOST_TREES}: take a smaller vocabulary, fewer drafts or a shorter tree"
        )
    found: NodeSets = {}
    for tree, mass in law.trees(draft):
        nodes = frozenset([(), *tree.nodes()])
        found[nodes] = found.get(nodes, 0) + mass
    return found


def target_masses(target: Model, depth: int) -> dict[Prefix, Number]:
    """p(x) of every node of positive probability, up to a depth.

    Example:
        >>> target_masses({(): (0.25, 0.75)}, 1)
        {(): 1, (0,): 0.25, (1,): 0.75}
    """
    found: dict[Prefix, Number] = {(): 1}
    level: dict[Prefix, Number] = {(): 1}
    for _ in range(depth):
        level = {
            (*node, token): mass * share
            for node, mass in level.items()
            for token, share in enumerate(row_of(target, node, "target"))
            if share > 0
        }
        found |= level
    return found
