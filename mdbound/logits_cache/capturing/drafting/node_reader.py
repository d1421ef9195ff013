"""Logits after nodes below contexts, in the fastest way that the model's checks allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mdbound.logits_cache.capturing.score import FORWARD_BYTES, score_passages
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.tree_pass import Node, Place, TreePass, reads_trees
from mdbound.logits_cache.text.passages import Passage

Float32Array = npt.NDArray[np.float32]


class NodeReader:
    """Reads nodes below the contexts of one text after the other: as trees, else path by path.

    Args:
        model: the model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._tree: TreePass | None = None
        self._text: tuple[int, ...] = ()

    def begin(self, text: Sequence[int], depth: int) -> None:
        """Go to a text.

        Args:
            text: its tokens, up to the end of the longest context.
            depth: tokens of the longest node that will be read below one.
        """
        self._text = tuple(text)
        if not reads_trees(self._model, len(text) + depth):
            self._tree = None
            return
        self._tree = self._tree or TreePass(self._model)
        self._tree.begin(self._text)

    def rows(self, places: Sequence[Place]) -> Float32Array:
        """Logits after nodes, shape (nodes, V).

        Args:
            places: tokens of the text that a context has, and those that lead from there to the
                node; ancestors come first, in this call or in one before.
        """
        if self._tree is None:
            return self._path_by_path(places)
        most = max(1, FORWARD_BYTES // (4 * self._model.record.logits_width))
        parts = [places[start : start + most] for start in range(0, len(places), most)]
        return np.concatenate([self._tree.rows(part) for part in parts])

    def _path_by_path(self, places: Sequence[Place]) -> Float32Array:
        """Each path to a node that none goes on from, as a passage; its rows are those of nodes."""
        leaves = list(_leaves(places))
        # A passage's last token is read by nobody: it is there to be predicted.
        passages = [
            Passage(0, "", 0, context, (*self._text[:context], *leaf, leaf[-1]))
            for context, leaf in leaves
        ]
        found: dict[Place, Float32Array] = {}
        scored = score_passages(self._model, passages)
        for (context, leaf), (_, logits) in zip(leaves, scored, strict=True):
            for depth in range(1, len(leaf) + 1):
                found.setdefault((context, leaf[:depth]), logits[depth - 1].copy())
        return np.stack([found[place] for place in places])


def _leaves(places: Sequence[Place]) -> Iterator[tuple[int, Node]]:
    inner = {(context, node[:depth]) for context, node in places for depth in range(1, len(node))}
    yield from (place for place in places if place not in inner)
