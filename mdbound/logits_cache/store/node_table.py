"""The table of nodes of drafted paths and trees, and what is checked when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from mdbound.errors import CacheError
from mdbound.logits_cache.store.path_nodes import (
    ContextNodes,
    Int64Array,
    PathNode,
    path_nodes,
    tree_nodes,
)
from mdbound.logits_cache.store.paths_record import IID_PATHS, PathsRecord
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree

PATH_NODES_SCHEMA = pa.schema(
    [
        ("context", pa.int64()),
        ("doc_id", pa.int64()),
        ("position", pa.int64()),
        ("tree", pa.int32()),
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


_TREE_COLUMN = PATH_NODES_SCHEMA.get_field_index("tree")

_BEFORE_TREES = PATH_NODES_SCHEMA.remove(_TREE_COLUMN)
"""Columns of tables of cache format 5 and before: with one tree at a context, it had no number."""


def path_nodes_table(contexts: Sequence[ContextNodes]) -> Any:
    """An Arrow table of PATH_NODES_SCHEMA with the nodes of several contexts."""
    rows = [
        {
            "context": each.context,
            "doc_id": each.doc_id,
            "position": each.position,
            "tree": each.number,
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
    if table.schema.equals(_BEFORE_TREES):
        numbers = pa.array(np.zeros(table.num_rows, dtype=np.int32))
        table = table.add_column(_TREE_COLUMN, PATH_NODES_SCHEMA.field(_TREE_COLUMN), numbers)
    if not table.schema.equals(PATH_NODES_SCHEMA):
        raise CacheError(f"{place} has other columns than a table of nodes; capture again")
    if any(column.null_count for column in (*table.columns, *_inner(table))):
        raise CacheError(f"{place} has empty values; capture again")
    keys = positions.select("doc_id", "position").rows()
    read = _paths_of if drawn.draws_paths else _tree_of
    found: list[ContextNodes] = []
    for rows in _by_tree(table.to_pylist()):
        first = rows[0]
        row, key = first["context"], (first["doc_id"], first["position"])
        in_order = _follows(first, found[-1] if found else None, drawn.trees)
        known = in_order and row < len(keys) and keys[row] == key
        nodes = read(rows, drawn, vocab_size) if known else None
        if nodes is None or path_nodes_table([nodes]).to_pylist() != rows:
            raise CacheError(_not_a_tree(place, row))
        found.append(nodes)
    if found and found[-1].number != drawn.trees - 1:
        raise CacheError(_not_a_tree(place, found[-1].context))
    return found


def _follows(first: dict[str, Any], before: ContextNodes | None, trees: int) -> bool:
    """Whether a tree is the next of its context, or the first of a later one."""
    row, number = first["context"], first["tree"]
    if before is not None and before.number < trees - 1:
        return bool(row == before.context and number == before.number + 1)
    return bool(row > (-1 if before is None else before.context) and number == 0)


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
    law = drawn.law()
    if not lists or not law.can_draw(tree):
        return None
    return _context_of(rows, tree_nodes(tree), law.sampling, None)


def _context_of(
    rows: Sequence[dict[str, Any]],
    nodes: tuple[PathNode, ...],
    law: str,
    tokens: Int64Array | None,
) -> ContextNodes:
    first = rows[0]
    place = (first["context"], first["doc_id"], first["position"])
    return ContextNodes(*place, nodes, law, tokens, first["tree"])


def _inner(table: Any) -> list[Any]:
    return [chunk.flatten() for chunk in table["paths"].chunks]


def _by_tree(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for _, own in groupby(rows, lambda row: (row["context"], row["tree"])):
        yield list(own)


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
