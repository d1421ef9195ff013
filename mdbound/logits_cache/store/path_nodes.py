"""Drafted paths and trees: a node for each distinct prefix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.logits_cache.store.paths_record import IID_PATHS
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, tree_of_paths

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PathNode:
    """A prefix that one or more of a context's paths begin with.

    Attributes:
        node: its number; depth first, and 0 for the context itself.
        parent: number of the prefix without its last token; -1 for the context.
        rank: which child of its parent it is, in the order in which paths came to it.
        depth: tokens of the prefix.
        token_id: its last token; -1 for the context.
        paths: numbers of the paths that begin with it, in order; of a tree that is not of paths,
            which draws of its parent's list came to it.
        internal: whether tokens were drafted after it.
    """

    node: int
    parent: int
    rank: int
    depth: int
    token_id: int
    paths: tuple[int, ...]
    internal: bool


@dataclass(frozen=True)
class ContextNodes:
    """The paths or the tree at one context.

    Attributes:
        context: row of the shard whose context the paths go on from.
        doc_id: its document.
        position: its position there.
        nodes: the tree.
        law: how it was drawn: `IID_PATHS`, or the law of a node's list.
        tokens: the paths in the order in which they were drawn, shape (K, L); None for a tree that
            is not of paths.
        number: number of the tree among those at its context.
    """

    context: int
    doc_id: int
    position: int
    nodes: tuple[PathNode, ...]
    law: str = IID_PATHS
    tokens: Int64Array | None = None
    number: int = 0

    @property
    def target_nodes(self) -> tuple[PathNode, ...]:
        """Nodes with a row of the target beside them: all but the context, of trees internal ones.

        What follows a whole path is kept for those who run a verifier on it.
        """
        return self.nodes[1:] if self.tokens is not None else self.draft_nodes

    def prefixes(self) -> tuple[Prefix, ...]:
        """The tokens that lead to each node from the context, in the order of the nodes."""
        found: list[Prefix] = []
        for node in self.nodes:
            found.append(() if node.parent < 0 else (*found[node.parent], node.token_id))
        return tuple(found)

    def tree(self) -> DraftedTree:
        """The tokens that were drafted, node by node."""
        if self.tokens is not None:
            return tree_of_paths(self.tokens)
        drafted: dict[Prefix, dict[int, int]] = {}
        for node, prefix in zip(self.nodes, self.prefixes(), strict=True):
            if prefix:
                drafted.setdefault(prefix[:-1], {}).update(dict.fromkeys(node.paths, prefix[-1]))
        return DraftedTree(
            {
                node: tuple(tokens[place] for place in sorted(tokens))
                for node, tokens in drafted.items()
            }
        )

    @property
    def draft_nodes(self) -> tuple[PathNode, ...]:
        """Nodes with a row of the draft beside the paths: those that a token was drawn after."""
        return tuple(node for node in self.nodes[1:] if node.internal)


def path_nodes(tokens: npt.ArrayLike) -> tuple[PathNode, ...]:
    """The tree of paths.

    Args:
        tokens: the paths, shape (K, L).

    Returns:
        Its nodes, depth first; children in the order in which paths came to them.

    Example:
        >>> nodes = path_nodes([[7, 1], [5, 2], [7, 1]])
        >>> [(node.parent, node.token_id, node.paths) for node in nodes]
        [(-1, -1, (0, 1, 2)), (0, 7, (0, 2)), (1, 1, (0, 2)), (0, 5, (1,)), (3, 2, (1,))]
    """
    rows = np.asarray(tokens, dtype=np.int64)
    count, length = rows.shape
    nodes: list[PathNode] = []
    waiting = [(-1, 0, 0, -1, tuple(range(count)))]
    while waiting:
        parent, rank, depth, token, paths = waiting.pop()
        number = len(nodes)
        nodes.append(PathNode(number, parent, rank, depth, token, paths, depth < length))
        if depth == length:
            continue
        children: dict[int, list[int]] = {}
        for path in paths:
            children.setdefault(int(rows[path, depth]), []).append(path)
        below = [
            (number, place, depth + 1, child, tuple(through))
            for place, (child, through) in enumerate(children.items())
        ]
        waiting.extend(reversed(below))
    return tuple(nodes)


def tree_nodes(tree: DraftedTree) -> tuple[PathNode, ...]:
    """The nodes of a tree, with the draws that came to each.

    Example:
        >>> nodes = tree_nodes(DraftedTree({(): (7, 5, 7), (7,): (1,)}))
        >>> [(node.parent, node.token_id, node.paths, node.internal) for node in nodes]
        [(-1, -1, (), True), (0, 7, (0, 2), True), (1, 1, (0,), False), (0, 5, (1,), False)]
    """
    found = [PathNode(0, -1, 0, 0, -1, (), internal=True)]
    number: dict[Prefix, int] = {(): 0}
    for node in tree.nodes():
        parent = node[:-1]
        drafted = tree.drafted[parent]
        number[node] = len(found)
        found.append(
            PathNode(
                len(found),
                number[parent],
                tree.children(parent).index(node[-1]),
                len(node),
                node[-1],
                tuple(place for place, token in enumerate(drafted) if token == node[-1]),
                node in tree.drafted,
            )
        )
    return tuple(found)
