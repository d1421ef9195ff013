"""Verifiers that choose one of K i.i.d. paths and verify it as a block, against its own law."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from mdbound.paths.tiny.model import Number, Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.drafting.paths_law import Paths
from mdbound.trees.verifiers.block import block_steps, block_tail
from mdbound.trees.verifiers.rows import Array, Rows, one_draft
from mdbound.trees.verifiers.steps import outcomes_of, run_of
from mdbound.trees.verifiers.verifier import BlockLaw, DraftRows, RunnableVerifier


class SelectingVerifier(RunnableVerifier):
    """Select a path whose law is known, then block verification with that law in place of q."""

    samplings: ClassVar[tuple[str, ...]] = ("with_replacement",)
    only = Paths

    @abstractmethod
    def winners(self, target: Rows, draft: Rows, tree: DraftedTree) -> dict[Prefix, Number]:
        """P(a path is selected | the paths)."""

    @abstractmethod
    def draw_winner(
        self, target: Rows, draft: Rows, tree: DraftedTree, rng: np.random.Generator
    ) -> Prefix:
        """Select a path as a server would."""

    @abstractmethod
    def selected_rows(self, target: Rows, draft: Rows, path: Prefix, num_paths: int) -> list[Array]:
        """g: the law of the selected path's next token at each of its prefixes but the whole."""

    def outcomes(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> BlockLaw:
        """See `RunnableVerifier.outcomes`."""
        rows, count = one_draft(draft, self.name), len(tree.drafted[()])
        law: BlockLaw = {}
        for path, mass in self.winners(target, rows, tree).items():
            chosen = self.selected_rows(target, rows, path, count)
            for outcome, share in outcomes_of(block_steps(path, target, chosen)).items():
                law[outcome] = law.get(outcome, 0) + mass * share
        return law

    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """See `RunnableVerifier.tail`; the last token is summed over, and so is the selection."""
        rows, count = one_draft(draft, self.name), len(tree.drafted[()])
        tail: list[Any] = [0] * tree.depth
        for path, mass in self.winners(target, rows, tree).items():
            chosen = self.selected_rows(target, rows, path, count)
            for place, value in enumerate(block_tail(path, target, chosen)):
                tail[place] += mass * value
        return tail

    def sample(
        self, target: Rows, draft: DraftRows, tree: DraftedTree, rng: np.random.Generator
    ) -> tuple[Prefix, int]:
        """See `RunnableVerifier.sample`."""
        rows, count = one_draft(draft, self.name), len(tree.drafted[()])
        path = self.draw_winner(target, rows, tree, rng)
        return run_of(block_steps(path, target, self.selected_rows(target, rows, path, count)), rng)
