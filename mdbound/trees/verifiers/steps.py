"""Verifiers that ask one node after the other: accept it, or go on to the next.

The last step is the context, which is always accepted. What a verifier does is in its steps; the
law of its outcomes, its tails and its sampler follow.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.paths.tiny.model import Prefix
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.rows import Array, Rows
from mdbound.trees.verifiers.verifier import BlockLaw, DraftRows, RunnableVerifier


@dataclass(frozen=True)
class Step:
    """A node that is asked.

    Attributes:
        node: the node.
        accept: probability that it is accepted, given that it is asked.
        correction: makes the weights of the token that follows it, (V,).
    """

    node: Prefix
    accept: Any
    correction: Callable[[], Array]


Steps = Iterator[Step]


def outcomes_of(steps: Steps) -> BlockLaw:
    """The law of (accepted node, token).

    Example:
        >>> row = np.array([0.25, 0.75])
        >>> steps = iter([Step((1,), 0.5, lambda: row), Step((), 1, lambda: row)])
        >>> float(outcomes_of(steps)[(1,), 1])
        0.375
    """
    law: BlockLaw = {}
    left: Any = 1
    for step in steps:
        mass = left * step.accept
        left = left - mass
        if not mass > 0:
            continue
        weights = step.correction()
        total = weights.sum()
        for token, weight in enumerate(weights):
            if weight > 0:
                place = (step.node, token)
                law[place] = law.get(place, 0) + mass * weight / total
    return law


def tail_of(steps: Steps, depth: int) -> list[Any]:
    """P(tau >= d), d = 1..L.

    Example:
        >>> steps = iter([Step((0, 1), 0.5, list), Step((0,), 0.5, list), Step((), 1, list)])
        >>> tail_of(steps, 2)
        [0.75, 0.5]
    """
    tail: list[Any] = [0] * depth
    left: Any = 1
    for step in steps:
        mass = left * step.accept
        for place in range(len(step.node)):
            tail[place] += mass
        left = left * (1 - step.accept)
    return tail


def run_of(steps: Steps, rng: np.random.Generator) -> tuple[Prefix, int]:
    """One run: a coin for each step, and a token after the node that is accepted.

    Example:
        >>> row = np.array([0.0, 1.0])
        >>> run_of(iter([Step((), 1, lambda: row)]), np.random.default_rng(0))
        ((), 1)
    """
    for step in steps:
        if rng.random() < step.accept:
            weights = np.asarray(step.correction(), dtype=np.float64)
            return step.node, int(draw_tokens(weights, rng, 1)[0])
    raise AssertionError("the last step accepts the context")  # pragma: no cover


class SteppingVerifier(RunnableVerifier):
    """A verifier that is all in its steps."""

    @abstractmethod
    def steps(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> Steps:
        """The nodes in the order in which they are asked, the context last."""

    def outcomes(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> BlockLaw:
        """See `RunnableVerifier.outcomes`."""
        return outcomes_of(self.steps(target, draft, tree))

    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """See `RunnableVerifier.tail`."""
        return tail_of(self.steps(target, draft, tree), tree.depth)

    def sample(
        self, target: Rows, draft: DraftRows, tree: DraftedTree, rng: np.random.Generator
    ) -> tuple[Prefix, int]:
        """See `RunnableVerifier.sample`."""
        return run_of(self.steps(target, draft, tree), rng)
