"""Contexts with rows like a language model's, of fifty tokens, the same for the same seed.

Each context is a pair of models of its own, whose rows depend on the last token alone: target
logits N(0, 1.5), the draft's with noise N(0, 1) added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.paths.tiny.model import Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree, tree_of_paths

Floats = NDArray[np.float64]

#: V, the spread of the target's logits, and that of the noise.
VOCAB_SIZE, SPREAD, NOISE = 50, 1.5, 1.0


@dataclass(frozen=True)
class GeneratedContext:
    """One context: rows by last token, paths of the draft and a text of the target.

    Attributes:
        target: p by last token, (V + 1, V); the last row is the context's.
        draft: q likewise.
        paths: Drafted, (K, L).
        text: (L,).
    """

    target: Floats
    draft: Floats
    paths: NDArray[np.int64]
    text: NDArray[np.int64]

    def tree(self) -> DraftedTree:
        """The paths as one tree."""
        return tree_of_paths([tuple(path) for path in self.paths.tolist()])

    def rows(self, tree: DraftedTree) -> tuple[dict[Prefix, Floats], dict[Prefix, Floats]]:
        """Rows of both models at the nodes that the tree is drafted after."""
        nodes = tuple(tree.internal())
        last = [node[-1] if node else VOCAB_SIZE for node in nodes]
        return (
            dict(zip(nodes, self.target[last], strict=True)),
            dict(zip(nodes, self.draft[last], strict=True)),
        )


def generated_context(seed: int, number: int, num_paths: int, length: int) -> GeneratedContext:
    """A context by its number.

    Args:
        seed: Of the series.
        number: In the series.
        num_paths: K.
        length: L.

    Example:
        >>> context = generated_context(0, 3, num_paths=2, length=4)
        >>> context.paths.shape, context.text.shape, round(float(context.target[0].sum()), 12)
        ((2, 4), (4,), 1.0)
    """
    rng = np.random.default_rng([seed, number, num_paths, length])
    logits = rng.normal(0.0, SPREAD, (VOCAB_SIZE + 1, VOCAB_SIZE))
    target = _softmax(logits)
    draft = _softmax(logits + rng.normal(0.0, NOISE, logits.shape))
    paths = np.stack([_walk(draft, length, rng) for _ in range(num_paths)])
    return GeneratedContext(target, draft, paths, _walk(target, length, rng))


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _walk(rows: Floats, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    tokens = np.empty(length, np.int64)
    last = VOCAB_SIZE
    for depth in range(length):
        ends = np.cumsum(rows[last])
        last = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
        tokens[depth] = last
    return tokens
