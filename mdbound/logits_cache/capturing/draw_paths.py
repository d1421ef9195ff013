"""Paths and trees that a draft draws at contexts of the text, and the logits along them.

The logits that a token was drawn by are the ones that are stored: for the first token those of the
position, for later ones those of its prefix. So a token that the stored row, warped, has no
probability for is never drawn, whatever a second pass would round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.logits_cache.capturing.generate import sample_tokens
from mdbound.logits_cache.capturing.node_reader import NodeReader
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.tree_pass import Node
from mdbound.logits_cache.store.path_nodes import ContextNodes, path_nodes, tree_nodes
from mdbound.logits_cache.store.paths_record import IID_PATHS
from mdbound.logits_cache.text.passages import Passage
from mdbound.trees import DraftedTree, TreeLaw

Float32Array = npt.NDArray[np.float32]

#: First word of the seed of the choice of contexts; those of paths are odd.
_CHOICE = 0


@dataclass(frozen=True)
class PathDrawing:
    """How paths are drawn.

    Attributes:
        count: paths at a context, K.
        length: tokens of a path, L.
        contexts: contexts of each answer.
        warpers: of the drafts' distributions.
        max_context: most tokens that a model sees at once, paths included; None for any number.
        seed: of the choice of contexts and of the tokens.
        tree: law of trees that are drawn in place of paths; None draws paths.
    """

    count: int
    length: int
    contexts: int
    warpers: Warpers
    max_context: int | None
    seed: int
    tree: TreeLaw | None = None

    def rows(self, answered: Passage) -> list[int]:
        """Recorded rows of an answer, counted from its first, whose contexts paths go on from.

        They are drawn evenly from those with room for a path, without replacement, in order.

        Example:
            >>> answered = Passage(0, "", 0, 2, (5, 6, 7, 8, 9, 10))
            >>> PathDrawing(4, 2, 8, Warpers(), 6, seed=0).rows(answered)
            [0, 1]
        """
        first = answered.first_row
        room = answered.rows
        if self.max_context is not None:
            room = min(room, self.max_context - self.length - first)
        if room <= 0:
            return []
        key = [_CHOICE, self.seed, answered.doc_id, answered.offset + first, self.contexts]
        order = np.random.default_rng(key).permutation(room)
        return sorted(order[: self.contexts].tolist())

    def generator(self, draft: str, context: PathContext, path: int) -> np.random.Generator:
        """The generator of one path, whatever is drawn beside it: of every draft another one."""
        name = int.from_bytes(hashlib.sha256(draft.encode()).digest()[:8], "big") | 1
        return np.random.default_rng([name, self.seed, context.doc_id, context.position, path])


@dataclass(frozen=True)
class PathContext:
    """A context of the text.

    Attributes:
        row: its row in the shard.
        doc_id: its document.
        position: its position there.
        token_ids: the context.
    """

    row: int
    doc_id: int
    position: int
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class DrawnPaths:
    """Paths at one context, with the logits of the nodes of their tree, arrays of (nodes, V)."""

    paths: ContextNodes
    target_logits: Float32Array
    draft_logits: Float32Array


def contexts_of(answered: Passage, rows: Sequence[int], first_row: int) -> list[PathContext]:
    """The contexts of an answer's rows.

    Args:
        answered: prompt and answer.
        rows: rows, counted from the first recorded one.
        first_row: row of the shard that the first recorded one is.

    Example:
        >>> answered = Passage(4, "", 0, 1, (5, 6, 7, 8))
        >>> contexts_of(answered, [1], 10)
        [PathContext(row=11, doc_id=4, position=2, token_ids=(5, 6, 7))]
    """
    return [
        PathContext(
            first_row + row,
            answered.doc_id,
            answered.offset + answered.first_row + row,
            answered.token_ids[: answered.first_row + row + 1],
        )
        for row in rows
    ]


def draw_paths(
    target: LanguageModel,
    draft: LanguageModel,
    contexts: Sequence[PathContext],
    roots: Float32Array,
    drawing: PathDrawing,
) -> Iterator[DrawnPaths]:
    """Let a draft draw paths, and both models read them.

    Memory holds one context, with the logits along its paths.

    Args:
        target: the target.
        draft: the draft.
        contexts: where, in order.
        roots: the draft's stored logits there, shape (contexts, V).
        drawing: how.

    Yields:
        The paths of each context, in order.
    """
    by_target, by_draft = NodeReader(target), NodeReader(draft)
    for context, root in zip(contexts, roots, strict=True):
        generators = [
            drawing.generator(draft.record.name, context, path) for path in range(drawing.count)
        ]
        by_draft.begin(context.token_ids, drawing.length)
        place = (context.row, context.doc_id, context.position)
        if drawing.tree is None:
            tokens, rows = _draw_tokens(by_draft, root, drawing, generators)
            found = ContextNodes(*place, path_nodes(tokens), IID_PATHS, tokens)
        else:
            tree, rows = _draw_tree(by_draft, root, drawing.tree, drawing.warpers, generators[0])
            found = ContextNodes(*place, tree_nodes(tree), drawing.tree.sampling)
        by_target.begin(context.token_ids, drawing.length)
        prefixes = found.prefixes()
        read = [prefixes[node.node] for node in found.target_nodes]
        drafted = [rows[prefixes[node.node]] for node in found.draft_nodes]
        by_nodes = by_target.rows(read) if read else _stacked([], root)
        yield DrawnPaths(found, by_nodes, _stacked(drafted, root))


def _draw_tree(
    reader: NodeReader,
    root: Float32Array,
    law: TreeLaw,
    warpers: Warpers,
    generator: np.random.Generator,
) -> tuple[DraftedTree, dict[Node, Float32Array]]:
    """Draw the tree of a context, level by level, with the logits that tokens were drawn by."""
    rows: dict[Node, Float32Array] = {(): root}
    growth = law.grow(generator)
    level = next(growth)
    while True:
        if level != [()]:
            rows |= dict(zip(level, reader.rows(level), strict=True))
        logits = np.stack([rows[node] for node in level])
        try:
            level = growth.send(list(distribution_from_logits(logits, **warpers.as_dict())))
        except StopIteration as end:
            return end.value, rows


def _draw_tokens(
    reader: NodeReader,
    root: Float32Array,
    drawing: PathDrawing,
    generators: Sequence[np.random.Generator],
) -> tuple[npt.NDArray[np.int64], dict[Node, Float32Array]]:
    """Draw the paths of a context, level by level.

    Returns:
        The paths, shape (K, L), and the logits that tokens were drawn by, by their prefix.
    """
    paths: list[Node] = [()] * drawing.count
    rows: dict[Node, Float32Array] = {(): root}
    for depth in range(drawing.length):
        level = list(dict.fromkeys(paths))
        if depth:
            rows |= dict(zip(level, reader.rows(level), strict=True))
        logits = np.stack([rows[path] for path in paths])
        drawn = sample_tokens(logits, drawing.warpers, generators)
        paths = [(*path, token) for path, token in zip(paths, drawn, strict=True)]
    return np.array(paths, dtype=np.int64), rows


def _stacked(rows: Sequence[Float32Array], like: Float32Array) -> Float32Array:
    return np.stack(rows) if rows else np.empty((0, len(like)), dtype=np.float32)
