"""Node by node from the context down: a rule of one position at each, until its output is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mdbound import schemes
from mdbound.paths.tiny.model import Prefix
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.node_rules import NodeRule
from mdbound.trees.verifiers.rows import Array, Rows, draft_rows, one_draft
from mdbound.trees.verifiers.verifier import BlockLaw, DraftRows, RunnableVerifier


class TopDown(RunnableVerifier):
    """A rule of one position at each node; go on from its output while that was drafted.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: NodeRule) -> None:
        self.rule = rule
        self.name = rule.name  # type: ignore[misc]  # one class stands for several verifiers
        self.title = rule.title  # type: ignore[misc]
        self.samplings = rule.samplings  # type: ignore[misc]
        self.several = rule.several  # type: ignore[misc]

    def outcomes(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> BlockLaw:
        """See `RunnableVerifier.outcomes`."""
        law: BlockLaw = {}
        for node, reached, output in self._reached(target, draft, tree):
            stops = target[node] if output is None else output
            children = tree.children(node)
            law |= {
                (node, token): reached * mass
                for token, mass in enumerate(stops)
                if mass > 0 and token not in children
            }
        return law

    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """See `RunnableVerifier.tail`: masses of the drafted nodes."""
        tail: list[Any] = [0] * tree.depth
        for node, reached, _ in self._reached(target, draft, tree):
            if node:
                tail[len(node) - 1] += reached
        return tail

    def sample(
        self, target: Rows, draft: DraftRows, tree: DraftedTree, rng: np.random.Generator
    ) -> tuple[Prefix, int]:
        """See `RunnableVerifier.sample`."""
        node: Prefix = ()
        while node in tree.drafted:
            weights = np.asarray(self._output(target, draft, tree, node), dtype=np.float64)
            token = int(draw_tokens(weights, rng, 1)[0])
            if token not in tree.drafted[node]:
                return node, token
            node = (*node, token)
        return node, int(draw_tokens(np.asarray(target[node], dtype=np.float64), rng, 1)[0])

    def _output(self, target: Rows, draft: DraftRows, tree: DraftedTree, node: Prefix) -> Array:
        if not self.rule.several:
            one_draft(draft, self.name)
        return self.rule.output(target[node], draft_rows(draft, tree, node), tree.drafted[node])

    def _reached(
        self, target: Rows, draft: DraftRows, tree: DraftedTree
    ) -> Iterator[tuple[Prefix, Any, Array | None]]:
        """Each node with the probability that the rule comes to it, and its output law there."""
        waiting: list[tuple[Prefix, Any]] = [((), 1)]
        while waiting:
            node, reached = waiting.pop()
            if node not in tree.drafted:
                yield node, reached, None
                continue
            output = self._output(target, draft, tree, node)
            yield node, reached, output
            waiting += [
                ((*node, token), reached * output[token])
                for token in reversed(tree.children(node))
                if output[token] > 0
            ]


class TopDownLagged(TopDown):
    """The same rule; its tail sums the last level over all lists that might have been drafted.

    P(tau >= d) is estimated by the sum over nodes of depth d - 1 of the probability of coming to
    them times the rate of acceptance there: as unbiased as the masses of drafted nodes, and less
    noisy. Floats only: rates come from `mdbound.schemes`.
    """

    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """See `RunnableVerifier.tail`."""
        if self.rule.scheme is None or not isinstance(draft, Mapping):
            return super().tail(target, draft, tree)
        tail = [0.0] * tree.depth
        scheme = schemes.get(self.rule.scheme)
        for node, reached, output in self._reached(target, draft, tree):
            if output is not None:
                count = len(tree.drafted[node])
                rate = _rate(scheme, target[node], draft[node], count)
                tail[len(node)] += float(reached) * rate
        return tail


def _rate(scheme: schemes.Scheme, p: Array, q: Array, count: int) -> float:
    if count == 1 and scheme.name not in _OTHER_AT_ONE:
        return float(np.minimum(p, q).sum())
    return float(scheme.acceptance(p, q, count).membership)


_OTHER_AT_ONE = ("nss",)
"""Schemes that are not speculative sampling where one token is drafted."""
