"""Where in a text drafts draw paths or trees, and with which random numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mdbound.logits_cache.store.manifest import GenerationRecord
from mdbound.logits_cache.store.paths_record import PathsRecord
from mdbound.logits_cache.text.passages import Passage

#: First word of the seed of the choice of contexts; those of paths are odd.
_CHOICE = 0


@dataclass(frozen=True)
class TreeContext:
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
class PathDrawing:
    """How paths or trees are drawn.

    Attributes:
        record: what is drawn, and at how many contexts.
        max_context: most tokens that a model sees at once, paths included; None for any number.
        seed: of the choice of contexts and of the tokens.
    """

    record: PathsRecord
    max_context: int | None
    seed: int

    def rows(self, answered: Passage) -> list[int]:
        """Recorded rows of an answer, counted from its first, whose contexts paths go on from.

        Those with room for a path: every n-th of them, or so many, drawn without replacement.

        Example:
            >>> answered = Passage(0, "", 0, 2, (5, 6, 7, 8, 9, 10))
            >>> PathDrawing(PathsRecord(4, 2, 8, {}), 6, seed=0).rows(answered)
            [0, 1]
            >>> PathDrawing(PathsRecord(4, 2, None, {}, every=2), None, seed=0).rows(answered)
            [0, 2]
        """
        first = answered.first_row
        room = answered.rows
        if self.max_context is not None:
            room = min(room, self.max_context - self.record.length - first)
        if room <= 0:
            return []
        if self.record.every is not None:
            return list(range(0, room, self.record.every))
        contexts = self.record.contexts or room
        key = [_CHOICE, self.seed, answered.doc_id, answered.offset + first, contexts]
        order = np.random.default_rng(key).permutation(room)
        return sorted(order[:contexts].tolist())

    def contexts(self, answered: Passage, first_row: int) -> list[TreeContext]:
        """The contexts of an answer.

        Args:
            answered: prompt and answer.
            first_row: row of the shard that the first recorded one is.

        Example:
            >>> answered = Passage(4, "", 0, 1, (5, 6, 7, 8))
            >>> PathDrawing(PathsRecord(1, 1, 1, {}), None, seed=1).contexts(answered, 10)
            [TreeContext(row=10, doc_id=4, position=1, token_ids=(5, 6))]
        """
        return [
            TreeContext(
                first_row + row,
                answered.doc_id,
                answered.offset + answered.first_row + row,
                answered.token_ids[: answered.first_row + row + 1],
            )
            for row in self.rows(answered)
        ]

    def generator(self, draft: str, context: TreeContext, number: int) -> np.random.Generator:
        """The generator of a path, or of a tree, by its number at the context.

        It is the same whatever is drawn beside it, and of every draft another one.
        """
        name = int.from_bytes(hashlib.sha256(draft.encode()).digest()[:8], "big") | 1
        return np.random.default_rng([name, self.seed, context.doc_id, context.position, number])


def path_drawing(generation: GenerationRecord) -> PathDrawing | None:
    """How the drafts of a capture draw paths; None if they draw none."""
    if generation.paths is None:
        return None
    return PathDrawing(generation.paths, generation.max_context, generation.seed)
