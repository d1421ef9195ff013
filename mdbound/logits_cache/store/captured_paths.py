"""Captured paths and trees with the logits at their nodes, from the streams of a shard's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.logits_cache.store.path_nodes import ContextNodes, Int64Array, PathNode
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CapturedPaths:
    """The paths that a draft drew at one context, and both models' logits along them.

    The paths are independent, in the order in which they were drawn: the first few of them are
    what a capture of as many paths would have.

    Attributes:
        draft: name of the draft.
        shard: index of the shard.
        row: row of the context in the shard.
        doc_id: document of the context.
        position: its position there; `tokens` go on from there.
        tokens: the paths, shape (K, L). They go on after an end token.
        target_logits: raw logits of the target, shape (K, L + 1, V): entry l predicts the token
            after the first l of the path, so that the last is what follows the whole path.
        draft_logits: raw logits of the draft, shape (K, L, V): entry l is what token l was drawn
            by, warped as the manifest says.
    """

    draft: str
    shard: int
    row: int
    doc_id: int
    position: int
    tokens: Int64Array
    target_logits: Float32Array
    draft_logits: Float32Array


@dataclass(frozen=True)
class CapturedTree:
    """The tree that a draft drew at one context, and both models' logits at its nodes.

    Attributes:
        draft: name of the draft.
        shard: index of the shard.
        row: row of the context in the shard.
        doc_id: document of the context.
        position: its position there; the tree goes on from there.
        number: number of the tree among those at its context.
        tree: the tokens that were drafted, node by node.
        target_logits: raw logits of the target by node, (V,) each: at all nodes that tokens were
            drafted after, and of paths at their ends, too.
        draft_logits: raw logits of the draft at the nodes that tokens were drafted after: what
            they were drawn by, warped as the manifest says.
    """

    draft: str
    shard: int
    row: int
    doc_id: int
    position: int
    number: int
    tree: DraftedTree
    target_logits: dict[Prefix, Float32Array]
    draft_logits: dict[Prefix, Float32Array]


@dataclass(frozen=True)
class PathStreams:
    """Logits of one shard, as blocks of rows in order.

    Attributes:
        target_roots: of the target at the shard's positions.
        draft_roots: of the draft there.
        target_nodes: of the target along the paths, in the order of contexts and nodes.
        draft_nodes: likewise of the draft.
    """

    target_roots: Iterator[Float32Array]
    draft_roots: Iterator[Float32Array]
    target_nodes: Iterator[Float32Array]
    draft_nodes: Iterator[Float32Array]


def paths_of_shard(
    draft: str, shard: int, contexts: Sequence[ContextNodes], streams: PathStreams
) -> Iterator[CapturedPaths]:
    """Yield the paths of a shard, context by context; memory holds a context and a block a stream.

    Args:
        draft: name of the draft.
        shard: index of the shard.
        contexts: its contexts, in the order of their rows.
        streams: the logits; there are as many rows as the contexts need.
    """
    target_roots, draft_roots = _Rows(streams.target_roots), _Rows(streams.draft_roots)
    target_nodes, draft_nodes = _Rows(streams.target_nodes), _Rows(streams.draft_nodes)
    for each in contexts:
        if each.tokens is None:
            raise AssertionError("read_path_nodes of a capture of trees")  # pragma: no cover
        length = each.tokens.shape[1]
        yield CapturedPaths(
            draft,
            shard,
            each.context,
            each.doc_id,
            each.position,
            each.tokens,
            _along_paths(
                *(len(each.tokens), length + 1, target_roots.at(each.context)),
                *(each.target_nodes, target_nodes),
            ),
            _along_paths(
                *(len(each.tokens), length, draft_roots.at(each.context)),
                *(each.draft_nodes, draft_nodes),
            ),
        )


def trees_of_shard(
    draft: str, shard: int, contexts: Sequence[ContextNodes], streams: PathStreams
) -> Iterator[CapturedTree]:
    """Yield the trees of a shard, context by context; memory holds a context and a block a stream.

    Args:
        draft: name of the draft.
        shard: index of the shard.
        contexts: its contexts, in the order of their rows.
        streams: the logits; there are as many rows as the contexts need.
    """
    target_roots, draft_roots = _Rows(streams.target_roots), _Rows(streams.draft_roots)
    target_nodes, draft_nodes = _Rows(streams.target_nodes), _Rows(streams.draft_nodes)
    for each in contexts:
        prefixes = each.prefixes()
        target: dict[Prefix, Float32Array] = {(): target_roots.at(each.context).copy()}
        target |= {prefixes[node.node]: target_nodes.next().copy() for node in each.target_nodes}
        own: dict[Prefix, Float32Array] = {(): draft_roots.at(each.context).copy()}
        own |= {prefixes[node.node]: draft_nodes.next().copy() for node in each.draft_nodes}
        yield CapturedTree(
            *(draft, shard, each.context, each.doc_id, each.position, each.number),
            *(each.tree(), target, own),
        )


def _along_paths(
    count: int, length: int, root: Float32Array, nodes: Sequence[PathNode], rows: _Rows
) -> Float32Array:
    logits = np.empty((count, length, len(root)), dtype=np.float32)
    logits[:, 0] = root
    for node in nodes:
        logits[list(node.paths), node.depth] = rows.next()
    return logits


class _Rows:
    """Rows of a stream of blocks, taken in order."""

    def __init__(self, blocks: Iterator[Float32Array]) -> None:
        self._blocks = blocks
        self._block: Float32Array | None = None
        self._first = 0
        self._taken = 0

    def at(self, index: int) -> Float32Array:
        """The row of this number, which is that of no row before the last one taken."""
        while self._block is None or index >= self._first + len(self._block):
            self._first += 0 if self._block is None else len(self._block)
            self._block = next(self._blocks)
        row: Float32Array = self._block[index - self._first]
        return row

    def next(self) -> Float32Array:
        self._taken += 1
        return self.at(self._taken - 1)
