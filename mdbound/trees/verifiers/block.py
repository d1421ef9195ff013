"""Block verification of one path of a tree, against the law that the path was chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from mdbound.paths.tiny.model import Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.rows import Array, Rows, positive_part, share
from mdbound.trees.verifiers.steps import Step, SteppingVerifier, Steps
from mdbound.trees.verifiers.verifier import DraftRows


def block_steps(path: Prefix, target: Rows, chosen: Sequence[Array]) -> Steps:
    """Ask the path, then every prefix of it down to the context.

    With w_0 = 1 and w_l = min(1, w_{l-1} p/g) along the path, the whole path is accepted with w_L,
    a prefix of l tokens with s / (s + 1 - w_l), s the sum of (w_l p - g)+, which is also the law
    of the token that follows it.

    Args:
        path: the tokens x_1..x_L.
        target: rows of p at every prefix of it; at the whole path for its correction only.
        chosen: g: rows of the law by which the path was chosen, at each prefix but the whole.

    Source: Sun et al. 2024, block verification; g is q for a path that was drafted alone.
    """
    weights = block_weights(path, target, chosen)
    yield Step(path, weights[-1], partial(target.__getitem__, path))
    for length in range(len(path) - 1, -1, -1):
        node = path[:length]
        excess = positive_part(weights[length] * target[node] - chosen[length])
        deficit = positive_part(chosen[length] - weights[length] * target[node]).sum()
        total = excess.sum()
        # The context is accepted for sure; rounding may say otherwise.
        accept = total / deficit if length and deficit > 0 else 1
        yield Step(node, min(1, accept), partial(_either, excess, target[node]))


def block_weights(path: Prefix, target: Rows, chosen: Sequence[Array]) -> list[Any]:
    """w_0, ..., w_L."""
    weights: list[Any] = [1]
    for length, token in enumerate(path):
        row = target[path[:length]]
        weights.append(share(weights[-1] * row[token], chosen[length][token]))
    return weights


def block_tail(path: Prefix, target: Rows, chosen: Sequence[Array]) -> list[Any]:
    """P(tau >= l | first l - 1 tokens): the last token summed over its law.

    Less variance than w_l by itself, and as unbiased.
    """
    weights = block_weights(path, target, chosen)
    return [
        _overlap(weights[length] * target[path[:length]], chosen[length])
        for length in range(len(path))
    ]


def _overlap(one: Array, other: Array) -> Any:
    return (other - positive_part(other - one)).sum()


def _either(weights: Array, instead: Array) -> Array:
    return weights if weights.any() else instead


def _of_first_path(draft: DraftRows) -> Rows:
    return draft if isinstance(draft, Mapping) else draft[0]


class BlockFirstPath(SteppingVerifier):
    """Block verification of the path of first draws; the rest of the tree is not looked at.

    Optimal for one path among all rules that leave a fresh target behind.

    Source: Sun et al. 2024.
    """

    name: ClassVar[str] = "block_first_path"
    title: ClassVar[str] = "block verification, first path"
    samplings: ClassVar[tuple[str, ...]] = ("with_replacement", "without_replacement")
    several: ClassVar[bool] = True

    def steps(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> Steps:
        """See `SteppingVerifier.steps`."""
        rows, path = _of_first_path(draft), tree.first_path()
        return block_steps(path, target, [rows[path[:length]] for length in range(len(path))])

    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """See `RunnableVerifier.tail`; the last token is summed over."""
        rows, path = _of_first_path(draft), tree.first_path()
        chosen = [rows[path[:length]] for length in range(len(path))]
        found = block_tail(path, target, chosen)
        return found + [0] * (tree.depth - len(found))
