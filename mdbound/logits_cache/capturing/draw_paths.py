"""Paths that a draft draws at contexts of the text, token by token, and the logits along them.

The logits that a token was drawn by are the ones that are stored: for the first token those of the
position, for later ones those of the first path that came to the prefix. So a token that the
stored row, warped, has no probability for is never drawn, whatever a second pass would round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds import Warpers
from mdbound.logits_cache.capturing.decoding import Decoding, decoding_of
from mdbound.logits_cache.capturing.generate import sample_tokens
from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.store.path_nodes import ContextNodes, path_nodes
from mdbound.logits_cache.text.passages import Passage

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
    """

    count: int
    length: int
    contexts: int
    warpers: Warpers
    max_context: int | None
    seed: int

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
    batch_size: int,
) -> Iterator[DrawnPaths]:
    """Let a draft draw paths, and both models read them.

    Memory holds the logits along about `batch_size` paths, or along those of one context if that
    has more.

    Args:
        target: the target.
        draft: the draft.
        contexts: where, in order.
        roots: the draft's stored logits there, shape (contexts, V).
        drawing: how.
        batch_size: paths in a forward pass.

    Yields:
        The paths of each context, in order.
    """
    together = max(1, batch_size // drawing.count)
    for start in range(0, len(contexts), together):
        part = contexts[start : start + together]
        yield from _draw_group(target, draft, part, roots[start : start + together], drawing)


def _draw_group(
    target: LanguageModel,
    draft: LanguageModel,
    contexts: Sequence[PathContext],
    roots: Float32Array,
    drawing: PathDrawing,
) -> Iterator[DrawnPaths]:
    tokens, rows = _draw_tokens(draft, contexts, roots, drawing)
    found = [
        ContextNodes(each.row, each.doc_id, each.position, own, path_nodes(own))
        for each, own in zip(contexts, tokens, strict=True)
    ]
    read = [_distinct_paths(*each) for each in zip(contexts, found, strict=True)]
    scored = score_passages(target, [item for own in read for item in own.values()])
    for index, paths in enumerate(found):
        after = {path: next(scored)[1] for path in read[index]}
        # A node's first path is a distinct one: paths that equal it are numbered higher.
        by_target = [after[node.paths[0]][node.depth - 1] for node in paths.target_nodes]
        first = index * drawing.count
        by_draft = [rows[node.depth - 1][first + node.paths[0]] for node in paths.draft_nodes]
        yield DrawnPaths(paths, _stacked(by_target, roots), _stacked(by_draft, roots))


def _draw_tokens(
    draft: LanguageModel,
    contexts: Sequence[PathContext],
    roots: Float32Array,
    drawing: PathDrawing,
) -> tuple[npt.NDArray[np.int64], list[dict[int, Float32Array]]]:
    """Draw the paths of contexts.

    Returns:
        The paths, shape (C, K, L), and for each depth from 1 on the logits that tokens were drawn
        by, by the number of the first path, of C * K, that came to their prefix.
    """
    owners = [index for index in range(len(contexts)) for _ in range(drawing.count)]
    generators = [
        drawing.generator(draft.record.name, each, path)
        for each in contexts
        for path in range(drawing.count)
    ]
    logits, drawn = roots[owners], sample_tokens(roots[owners], drawing.warpers, generators)
    paths = [[token] for token in drawn]
    rows: list[dict[int, Float32Array]] = []
    if drawing.length > 1:
        sequences = [[*contexts[owner].token_ids, path[0]] for owner, path in _pairs(owners, paths)]
        steps = _Steps(draft, sequences, drawing.length - 1)
        while True:
            logits = steps.logits()
            first = _first_of_prefix(owners, paths)
            rows.append({index: logits[index].copy() for index in sorted(set(first))})
            drawn = sample_tokens(logits[first], drawing.warpers, generators)
            for path, token in zip(paths, drawn, strict=True):
                path.append(token)
            if len(paths[0]) == drawing.length:
                break
            steps.append(drawn)
    shape = (len(contexts), drawing.count, drawing.length)
    return np.array(paths, dtype=np.int64).reshape(shape), rows


def _pairs(owners: Sequence[int], paths: Sequence[list[int]]) -> Iterator[tuple[int, list[int]]]:
    return zip(owners, paths, strict=True)


def _first_of_prefix(owners: Sequence[int], paths: Sequence[list[int]]) -> list[int]:
    """For each path the first of its context that is the same so far."""
    known: dict[tuple[int, ...], int] = {}
    return [
        known.setdefault((owner, *path), index)
        for index, (owner, path) in enumerate(_pairs(owners, paths))
    ]


class _Steps:
    """Sequences in the making, in one batch if the model's probe allows it, else one by one."""

    def __init__(self, model: LanguageModel, sequences: Sequence[list[int]], steps: int) -> None:
        longest = max(len(tokens) for tokens in sequences) + steps - 1
        shares = len(sequences) == 1 or model.findings.may_share_batch(longest)
        groups = [sequences] if shares else [[tokens] for tokens in sequences]
        self._sizes = [len(group) for group in groups]
        with _inference():
            self._decodings: list[Decoding] = [
                decoding_of(model, group, longest) for group in groups
            ]

    def logits(self) -> Float32Array:
        """Logits after the last token of each, shape (B, V)."""
        with _inference():
            rows = [each.logits().float().cpu().numpy() for each in self._decodings]
        return np.concatenate(rows)

    def append(self, tokens: Sequence[int]) -> None:
        """Extend every sequence by one token."""
        start = 0
        with _inference():
            for size, each in zip(self._sizes, self._decodings, strict=True):
                each.append(tokens[start : start + size])
                start += size


def _inference() -> Any:
    import torch

    return torch.inference_mode()


def _distinct_paths(context: PathContext, found: ContextNodes) -> dict[int, Passage]:
    """For each leaf its first path, as a passage whose rows are those after the path's tokens."""
    start = len(context.token_ids)
    passages = {}
    for node in found.nodes:
        if not node.internal:
            path = found.tokens[node.paths[0]].tolist()
            # A passage's last token is read by nobody: it is there to be predicted.
            tokens = (*context.token_ids, *path, path[-1])
            passages[node.paths[0]] = Passage(context.doc_id, "", 0, start, tokens)
    return passages


def _stacked(rows: Sequence[Float32Array], like: Float32Array) -> Float32Array:
    return np.stack(rows) if rows else np.empty((0, like.shape[1]), dtype=np.float32)
