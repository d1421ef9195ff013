"""Logits after nodes below a context, in the fastest way that the model's checks allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mdbound.logits_cache.capturing.score import score_passages
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.tree_pass import Node, TreePass, reads_trees
from mdbound.logits_cache.text.passages import Passage

Float32Array = npt.NDArray[np.float32]


class NodeReader:
    """Reads nodes below one context after the other: as trees, else path by path.

    Args:
        model: the model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._tree: TreePass | None = None
        self._context: tuple[int, ...] = ()

    def begin(self, context: Sequence[int], depth: int) -> None:
        """Go to a context.

        Args:
            context: its tokens.
            depth: tokens of the longest node that will be read below it.
        """
        self._context = tuple(context)
        if not reads_trees(self._model, len(context) + depth):
            self._tree = None
            return
        self._tree = self._tree or TreePass(self._model)
        self._tree.begin(self._context)

    def rows(self, nodes: Sequence[Node]) -> Float32Array:
        """Logits after nodes, shape (nodes, V).

        Args:
            nodes: tokens that lead to each from the context; ancestors come first, in this call or
                in one before.
        """
        if self._tree is not None:
            return self._tree.rows(nodes)
        return _path_by_path(self._model, self._context, nodes)


def _path_by_path(
    model: LanguageModel, context: tuple[int, ...], nodes: Sequence[Node]
) -> Float32Array:
    """Each path to a node that none goes on from, as a passage; its rows are those of its nodes."""
    inner = {node[:depth] for node in nodes for depth in range(1, len(node))}
    leaves = [node for node in nodes if node not in inner]
    # A passage's last token is read by nobody: it is there to be predicted.
    passages = [Passage(0, "", 0, len(context), (*context, *leaf, leaf[-1])) for leaf in leaves]
    found: dict[Node, Float32Array] = {}
    for leaf, (_, logits) in zip(leaves, score_passages(model, passages), strict=True):
        for depth in range(1, len(leaf) + 1):
            found.setdefault(leaf[:depth], logits[depth - 1].copy())
    return np.stack([found[node] for node in nodes])
