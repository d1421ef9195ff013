"""Drafted paths and trees: a node for each distinct prefix, and the table that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from mdbound.errors import CacheError
from mdbound.logits_cache.store.paths_record import IID_PATHS, PathsRecord
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import Branching, DraftedTree, tree_of_paths
from mdbound.trees.topologies.topology import Slot

Int64Array = npt.NDArray[np.int64]

PATH_NODES_SCHEMA = pa.schema(
    [
        ("context", pa.int64()),
        ("doc_id", pa.int64()),
        ("position", pa.int64()),
        ("node", pa.int32()),
        ("parent", pa.int32()),
        ("rank", pa.int32()),
        ("depth", pa.int32()),
        ("token_id", pa.int32()),
        ("multiplicity", pa.int32()),
        ("paths", pa.list_(pa.int32())),
        ("internal", pa.bool_()),
        ("law", pa.string()),
    ]
)


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
    """

    context: int
    doc_id: int
    position: int
    nodes: tuple[PathNode, ...]
    law: str = IID_PATHS
    tokens: Int64Array | None = None

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


def path_nodes_table(contexts: Sequence[ContextNodes]) -> Any:
    """An Arrow table of PATH_NODES_SCHEMA with the nodes of several contexts."""
    rows = [
        {
            "context": each.context,
            "doc_id": each.doc_id,
            "position": each.position,
            "node": node.node,
            "parent": node.parent,
            "rank": node.rank,
            "depth": node.depth,
            "token_id": node.token_id,
            "multiplicity": len(node.paths),
            "paths": list(node.paths),
            "internal": node.internal,
            "law": each.law,
        }
        for each in contexts
        for node in each.nodes
    ]
    return pa.Table.from_pylist(rows, schema=PATH_NODES_SCHEMA)


def contexts_of_table(
    table: Any, positions: pl.DataFrame, drawn: PathsRecord, vocab_size: int, place: Path
) -> list[ContextNodes]:
    """The contexts of a shard's table of nodes, each checked to be the tree of its paths.

    Args:
        table: as read from the file.
        positions: the shard's positions.
        drawn: what was drawn at a context.
        vocab_size: V.
        place: the file, for messages.

    Raises:
        CacheError: the table has other columns, or is not what a capture writes.
    """
    if not table.schema.equals(PATH_NODES_SCHEMA):
        raise CacheError(f"{place} has other columns than a table of nodes; capture again")
    if any(column.null_count for column in (*table.columns, *_inner(table))):
        raise CacheError(f"{place} has empty values; capture again")
    keys = positions.select("doc_id", "position").rows()
    read = _paths_of if drawn.topology is None else _tree_of
    found: list[ContextNodes] = []
    for rows in _by_context(table.to_pylist()):
        first = rows[0]
        row, key = first["context"], (first["doc_id"], first["position"])
        in_order = row >= 0 and (not found or row > found[-1].context)
        known = in_order and row < len(keys) and keys[row] == key
        nodes = read(rows, drawn, vocab_size) if known else None
        if nodes is None or path_nodes_table([nodes]).to_pylist() != rows:
            raise CacheError(_not_a_tree(place, row))
        found.append(nodes)
    return found


def _paths_of(
    rows: Sequence[dict[str, Any]], drawn: PathsRecord, vocab_size: int
) -> ContextNodes | None:
    """The paths that the nodes of a context spell; None if they spell none."""
    tokens = _tokens_of(rows, drawn, vocab_size)
    return None if tokens is None else _context_of(rows, path_nodes(tokens), IID_PATHS, tokens)


def _tree_of(
    rows: Sequence[dict[str, Any]], drawn: PathsRecord, vocab_size: int
) -> ContextNodes | None:
    """The tree that the nodes of a context are; None if the law draws no such tree."""
    law = drawn.law()
    if not isinstance(law, Branching) or len(rows) > law.children.size + 1:
        return None
    prefixes: list[Prefix] = [()]
    drafted: dict[Prefix, dict[int, int]] = {}
    for number, row in enumerate(rows[1:], start=1):
        parent, token, draws = row["parent"], row["token_id"], row["paths"]
        if not (0 <= parent < number and 0 <= token < vocab_size and draws):
            return None
        prefixes.append((*prefixes[parent], token))
        own = drafted.setdefault(prefixes[parent], {})
        if any(place in own for place in draws):
            return None
        own.update(dict.fromkeys(draws, token))
    lists: dict[Prefix, tuple[int, ...]] = {}
    for node, own in drafted.items():
        if sorted(own) != list(range(len(own))):
            return None
        lists[node] = tuple(own[place] for place in range(len(own)))
    tree = DraftedTree(lists)
    if not lists or not _is_of(tree, law):
        return None
    return _context_of(rows, tree_nodes(tree), law.sampling, None)


def _is_of(tree: DraftedTree, law: Branching) -> bool:
    """Whether every node has as many draws as its slot, or fewer where a support may end."""
    states: dict[Prefix, Slot] = {(): law.root()}
    for node in ((), *tree.nodes()):
        if node:
            parent = node[:-1]
            states[node] = law.child(states[parent], tree.drafted[parent], node[-1])
        wanted, found = law.num_draws(states[node]), len(tree.drafted.get(node, ()))
        ends = law.sampling != "with_replacement"
        if found > wanted or (found < wanted and not (ends and found)):
            return False
    return True


def _context_of(
    rows: Sequence[dict[str, Any]],
    nodes: tuple[PathNode, ...],
    law: str,
    tokens: Int64Array | None,
) -> ContextNodes:
    first = rows[0]
    return ContextNodes(first["context"], first["doc_id"], first["position"], nodes, law, tokens)


def _inner(table: Any) -> list[Any]:
    return [chunk.flatten() for chunk in table["paths"].chunks]


def _by_context(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    start = 0
    for stop in range(1, len(rows) + 1):
        if stop == len(rows) or rows[stop]["context"] != rows[start]["context"]:
            yield list(rows[start:stop])
            start = stop


def _tokens_of(
    rows: Sequence[dict[str, Any]], drawn: PathsRecord, vocab_size: int
) -> Int64Array | None:
    """The paths that the nodes of a context spell, shape (K, L); None if they spell none."""
    below = [row for row in rows if row["depth"] > 0]
    # Before memory is taken for what a manifest says.
    if sum(len(row["paths"]) for row in below) != drawn.count * drawn.length:
        return None
    tokens = np.full((drawn.count, drawn.length), -1, dtype=np.int64)
    for row in below:
        paths, depth, token = row["paths"], row["depth"], row["token_id"]
        inside = all(0 <= path < drawn.count for path in paths)
        if not inside or depth > drawn.length or not 0 <= token < vocab_size:
            return None
        tokens[paths, depth - 1] = token
    return None if (tokens < 0).any() else tokens


def _not_a_tree(place: Path, row: int) -> str:
    return f"{place}: the nodes at row {row} of the shard are no tree of its paths; capture again"
