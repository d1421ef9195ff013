"""Traversal verification: leaf after leaf, depth first, each removed if it is rejected."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from mdbound.paths.tiny.model import Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.rows import Array, Rows, one_draft, positive_part, share, without
from mdbound.trees.verifiers.steps import Step, SteppingVerifier, Steps
from mdbound.trees.verifiers.verifier import DraftRows


class Traversal(SteppingVerifier):
    """Accept the first leaf with its block weight, else remove it and settle with its parent.

    The first leaf x of the tree that is left, depth first, is accepted with w(x), block
    verification's weight along its path. Else it goes, and at its parent u, with s the sum of
    (w(u) p - q)+, p becomes (w(u) p - q)+ / s, w(u) becomes s / (s + 1 - w(u)), and q loses x.
    Repeated draws count once. On a chain it is block verification.

    Source: 2505.12398, as in two ports of its algorithm.
    """

    name: ClassVar[str] = "traversal"
    title: ClassVar[str] = "traversal verification"
    samplings: ClassVar[tuple[str, ...]] = ("with_replacement", "without_replacement")

    def steps(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> Steps:
        """See `SteppingVerifier.steps`."""
        rows = one_draft(draft, self.name)
        return _subtree((), 1, target, rows, tree)


def _subtree(node: Prefix, weight: Any, target: Rows, draft: Rows, tree: DraftedTree) -> Steps:
    """Ask everything below a node, then what is left of the node itself."""
    children = tree.children(node)
    if not children:
        yield Step(node, weight, partial(target.__getitem__, node))
        return
    p, q = target[node], draft[node]
    for token in children:
        below = share(weight * p[token], q[token])
        yield from _subtree((*node, token), below, target, draft, tree)
        excess = positive_part(weight * p - q)
        total = excess.sum()
        # s + 1 - w, as a sum of positive parts: nothing cancels where p is nearly q.
        deficit = positive_part(q - weight * p).sum()
        weight = total / deficit if total > 0 and deficit > 0 else 0
        p = excess / total if total > 0 else p
        q = without(q, token)
    yield Step(node, weight if node else 1, partial(_same, p))


def _same(row: Array) -> Array:
    return row
