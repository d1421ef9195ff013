"""What every verifier of draft trees offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

import numpy as np

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Number, Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.drafting.tree_law import Drafts, TreeLaw
from mdbound.trees.verifiers.rows import RowArrays, Rows

BlockLaw: TypeAlias = dict[tuple[Prefix, int], Number]
"""Probability of each (accepted node, token that follows it)."""

DraftRows: TypeAlias = Rows | Sequence[Rows]
"""Rows of the draft by node; or one such mapping for each path."""


class TreeVerifier(ABC):
    """A lossless rule that takes a drafted tree, accepts one of its nodes and adds one token.

    Attributes:
        name: what `trees.verifier` knows it by.
        title: what to call it in a table or figure.
        samplings: laws of a node's list that it is lossless for.
        only: the class of trees that it is for, where the law of lists does not decide; `None` for
            all.
        several: whether each of K paths may come from a draft of its own.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    samplings: ClassVar[tuple[str, ...]]
    only: ClassVar[type[TreeLaw] | None] = None
    several: ClassVar[bool] = False

    def suits(self, law: TreeLaw) -> bool:
        """Whether the verifier is lossless for trees of this law."""
        return law.sampling in self.samplings and (self.only is None or isinstance(law, self.only))

    def refuse(self, law: TreeLaw) -> None:
        """Refuse trees that the verifier is not for.

        Raises:
            InvalidSettingError: names both, and what the verifier is for.
        """
        if not self.suits(law):
            kind = f"{self.only.__name__} " if self.only else "trees "
            raise InvalidSettingError(
                f"`verifier` {self.name!r} does not suit a {law.title()}: it is for {kind}with "
                f"lists drawn {' or '.join(self.samplings)}"
            )

    @abstractmethod
    def expected_length(self, target: Model, draft: Drafts, law: TreeLaw) -> Number:
        """E tau over all trees of a tiny problem."""


class RunnableVerifier(TreeVerifier):
    """A verifier that can be run on a drafted tree, whatever the size of the vocabulary.

    Attributes:
        law_is_exact: whether `outcomes` is the law given the tree, or an unbiased estimate of it.
    """

    law_is_exact: ClassVar[bool] = True

    @abstractmethod
    def outcomes(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> BlockLaw:
        """P(accepted node, token | tree) for every outcome; rows of p at leaves are needed, too."""

    @abstractmethod
    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """An unbiased estimate of P(tau >= d), d = 1..L, from one tree: coins summed over.

        The sum is an estimate of E tau. Needs rows at internal nodes only.
        """

    @abstractmethod
    def sample(
        self, target: Rows, draft: DraftRows, tree: DraftedTree, rng: np.random.Generator
    ) -> tuple[Prefix, int]:
        """One run, coin by coin: the accepted node and the token that follows."""

    def expected_length(self, target: Model, draft: Drafts, law: TreeLaw) -> Number:
        """E tau over all trees of a tiny problem."""
        rows, draft_rows = RowArrays(target, "target"), draft_arrays(draft)
        total: Any = 0
        for tree, mass in law.trees(draft):
            total = total + mass * sum(self.tail(rows, draft_rows, tree))
        return plain_number(total)

    def block_law(self, target: Model, draft: Drafts, law: TreeLaw) -> BlockLaw:
        """P(accepted node, token) over all trees of a tiny problem."""
        rows, draft_rows = RowArrays(target, "target"), draft_arrays(draft)
        found: BlockLaw = {}
        for tree, mass in law.trees(draft):
            for outcome, share in self.outcomes(rows, draft_rows, tree).items():
                found[outcome] = found.get(outcome, 0) + mass * share
        return {outcome: plain_number(value) for outcome, value in found.items() if value > 0}


def plain_number(value: Any) -> Number:
    """A float in place of numpy's; fractions stay.

    Example:
        >>> plain_number(np.float64(0.5)), plain_number(1)
        (0.5, Fraction(1, 1))
    """
    if isinstance(value, np.floating | float):
        return float(value)
    return Fraction(value)


def draft_arrays(draft: Drafts) -> DraftRows:
    """One model as rows, or each of several.

    Example:
        >>> draft_arrays({(): (0.5, 0.5)})[()].tolist()
        [0.5, 0.5]
    """
    if isinstance(draft, Mapping):
        return RowArrays(draft, "draft")
    return [RowArrays(each, "draft") for each in draft]
