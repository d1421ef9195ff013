"""Paths and trees that a draft draws at contexts of the text, and the logits along them.

The logits that a token was drawn by are the ones that are stored: for the first token those of the
position, for later ones those of its prefix. So a token that the stored row, warped, has no
probability for is never drawn, whatever a second pass would round.

Contexts of one text are drawn from together: a level of all their trees is one pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mdbound.logits_cache.capturing.drafting.growing import Growing, grow_at
from mdbound.logits_cache.capturing.drafting.node_reader import NodeReader
from mdbound.logits_cache.capturing.drafting.path_drawing import PathDrawing, TreeContext
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.tree_pass import Node, Place
from mdbound.logits_cache.store.path_nodes import ContextNodes

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DrawnTree:
    """Paths or a tree at one context, with the logits of their nodes, arrays of (nodes, V)."""

    nodes: ContextNodes
    target_logits: Float32Array
    draft_logits: Float32Array


@dataclass
class _Tree:
    """A tree that is being drawn.

    Attributes:
        context: tokens of its context.
        growing: draws it.
        level: nodes whose logits it waits for.
        nodes: what was drawn; None until it is.
    """

    context: int
    growing: Growing
    level: list[Node] = field(default_factory=list)
    nodes: ContextNodes | None = None


def draw_trees(
    target: LanguageModel,
    draft: LanguageModel,
    contexts: Sequence[TreeContext],
    roots: Sequence[Float32Array],
    drawing: PathDrawing,
    together: int,
) -> Iterator[DrawnTree]:
    """Let a draft draw paths or trees, and both models read them.

    Args:
        target: the target.
        draft: the draft.
        contexts: where, in order.
        roots: the draft's stored logits there, (V,) each.
        drawing: how.
        together: most contexts that share passes; memory holds the logits along their trees.

    Yields:
        What was drawn at each context, in order.
    """
    by_target, by_draft = NodeReader(target), NodeReader(draft)
    for start, stop in _groups(contexts, together):
        own, longest = contexts[start:stop], contexts[stop - 1].token_ids
        for reader in (by_draft, by_target):
            reader.begin(longest, drawing.record.length)
        growing = [
            _Tree(len(context.token_ids), each)
            for context in own
            for each in grow_at(context, drawing, draft.record.name)
        ]
        known: dict[Place, Float32Array] = {
            (len(context.token_ids), ()): root
            for context, root in zip(own, roots[start:stop], strict=True)
        }
        _grow_together(by_draft, growing, known)
        yield from _read_by_target(by_target, growing, known, len(roots[start]))


def _groups(contexts: Sequence[TreeContext], together: int) -> Iterator[tuple[int, int]]:
    """Runs of contexts of which each is the beginning of the next, and no run too long."""
    start = 0
    for stop in range(1, len(contexts) + 1):
        last = contexts[stop - 1].token_ids
        ends = stop == len(contexts) or contexts[stop].token_ids[: len(last)] != last
        if ends or stop - start == together:
            yield start, stop
            start = stop


def _grow_together(
    reader: NodeReader, growing: Sequence[_Tree], known: dict[Place, Float32Array]
) -> None:
    """Draw all trees, level by level; `known` takes the logits that their tokens were drawn by."""
    for tree in growing:
        tree.level = next(tree.growing)
    while waiting := [tree for tree in growing if tree.nodes is None]:
        wanted = {(tree.context, node): None for tree in waiting for node in tree.level}
        new = [place for place in wanted if place not in known]
        if new:
            known |= dict(zip(new, reader.rows(new), strict=True))
        for tree in waiting:
            try:
                tree.level = tree.growing.send([known[tree.context, node] for node in tree.level])
            except StopIteration as end:
                tree.nodes = end.value


def _read_by_target(
    reader: NodeReader, drawn: Sequence[_Tree], known: dict[Place, Float32Array], vocab_size: int
) -> Iterator[DrawnTree]:
    found = []
    for tree in drawn:
        if tree.nodes is None:
            raise AssertionError("every tree was drawn")  # pragma: no cover
        prefixes = tree.nodes.prefixes()
        read = [(tree.context, prefixes[node.node]) for node in tree.nodes.target_nodes]
        drafted = [known[tree.context, prefixes[node.node]] for node in tree.nodes.draft_nodes]
        found.append((tree.nodes, read, drafted))
    places = list(dict.fromkeys(place for _, read, _ in found for place in read))
    rows = dict(zip(places, reader.rows(places), strict=True)) if places else {}
    for nodes, read, drafted in found:
        by_target = [rows[place] for place in read]
        yield DrawnTree(nodes, _stacked(by_target, vocab_size), _stacked(drafted, vocab_size))


def _stacked(rows: Sequence[Float32Array], vocab_size: int) -> Float32Array:
    return np.stack(rows) if rows else np.empty((0, vocab_size), dtype=np.float32)
