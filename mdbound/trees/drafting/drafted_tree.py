"""A drafted tree: at each node that was drafted from, the tokens in the order of their draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Prefix

Drafted: TypeAlias = dict[Prefix, tuple[int, ...]]
"""Drafted tokens by node; a node that nothing was drafted after is missing."""


@dataclass(frozen=True)
class DraftedTree:
    """The tokens that were drafted, node by node.

    A node is the tuple of tokens that leads to it; `()` is the context. Repeated draws stay in the
    list, in their order, and share one child.

    Attributes:
        drafted: tokens drafted after each internal node.

    Example:
        >>> tree = DraftedTree({(): (7, 5, 7), (7,): (1, 1), (5,): (2,)})
        >>> tree.children(()), list(tree.nodes())
        ((7, 5), [(7,), (7, 1), (5,), (5, 2)])
    """

    drafted: Drafted

    def children(self, node: Prefix) -> tuple[int, ...]:
        """Distinct tokens drafted after a node, in the order of their first draws."""
        return tuple(dict.fromkeys(self.drafted.get(node, ())))

    def nodes(self) -> Iterator[Prefix]:
        """Every node but the context, depth first: a child's subtree before the next child."""
        waiting: list[Prefix] = [()]
        while waiting:
            node = waiting.pop()
            if node:
                yield node
            waiting += [(*node, token) for token in reversed(self.children(node))]

    def internal(self) -> Iterator[Prefix]:
        """Nodes that tokens were drafted after, depth first, the context among them."""
        yield from (node for node in ((), *self.nodes()) if node in self.drafted)

    @property
    def depth(self) -> int:
        """Tokens of the longest node."""
        return max(len(node) for node in self.drafted) + 1

    def first_path(self) -> Prefix:
        """The path of first draws."""
        path: Prefix = ()
        while path in self.drafted:
            path = (*path, self.drafted[path][0])
        return path

    def paths(self) -> tuple[Prefix, ...]:
        """The paths that a tree of several paths was made of, in their order.

        Raises:
            InvalidSettingError: the lists are not those of paths of one length.

        Example:
            >>> tree_of_paths([(7, 1), (5, 2), (7, 1)]).paths()
            ((7, 1), (5, 2), (7, 1))
        """
        found: list[Prefix] = [()] * len(self.drafted[()])
        for node in self.internal():
            through = [index for index, path in enumerate(found) if path == node]
            if len(through) != len(self.drafted[node]):
                raise InvalidSettingError(
                    f"{len(self.drafted[node])} tokens were drafted after {node}, which "
                    f"{len(through)} paths pass: give a tree of i.i.d. paths"
                )
            for index, token in zip(through, self.drafted[node], strict=True):
                found[index] = (*node, token)
        if len({len(path) for path in found}) > 1:
            raise InvalidSettingError("paths have different lengths: give paths of one length")
        return tuple(found)


def tree_of_paths(paths: Sequence[Sequence[int]] | npt.NDArray[Any]) -> DraftedTree:
    """The tree of several paths of one length.

    Args:
        paths: their tokens, shape (K, L).

    Raises:
        InvalidSettingError: no paths, or paths of different lengths.

    Example:
        >>> tree_of_paths([(7, 1), (5, 2), (7, 3)]).drafted
        {(): (7, 5, 7), (7,): (1, 3), (5,): (2,)}
    """
    rows = [tuple(int(token) for token in path) for path in paths]
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        raise InvalidSettingError("`paths` has no rows, or rows of different lengths: give (K, L)")
    drafted: dict[Prefix, list[int]] = {}
    for depth in range(len(rows[0])):
        for row in rows:
            drafted.setdefault(row[:depth], []).append(row[depth])
    return DraftedTree({node: tuple(tokens) for node, tokens in drafted.items()})
