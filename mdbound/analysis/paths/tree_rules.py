"""Rules for more than one drafted path: one number a token and rule decides what they accept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mdbound import paths, schemes, trees
from mdbound.analysis.offsets.chosen_offsets import ChosenOffsets

Floats = NDArray[np.float64]
Tokens = NDArray[np.int64]

#: The scheme of one position whose draft law can be chosen.
OPTIMAL = "optimal"

#: Greedy multi-path block verification.
GBV = "gbv"

#: Quantile-score path selection.
QUANTILE = "quantile"


class TreeRule(ABC):
    """A rule that verifies drafts with several paths or children."""

    @abstractmethod
    def columns(self) -> dict[str, Any]:
        """What rows of results show of it: `scheme`, `sampling` and `num_drafts`."""

    @abstractmethod
    def numbers(self, target: Floats, draft: Floats, tokens: Tokens) -> Floats:
        """What it needs of each token, from the rows (B, V) it was drawn at; p of it is above 0.

        One number, or for some rules a row of them, always as many: (B,) or (B, W).
        """

    @property
    def needs(self) -> tuple[object, ...]:
        """What the numbers depend on: rules that need the same share them."""
        return tuple(self.columns().values())

    @abstractmethod
    def tail(
        self, target_logprob: Floats, draft_logprob: Floats, numbers: Floats, length: int
    ) -> Floats:
        """P(depth >= l | text) of calls that start at each token, (N, L)."""


@dataclass(frozen=True)
class NodeRule(TreeRule):
    """A scheme of one position that verifies a full tree node by node.

    Attributes:
        scheme: Its name in `mdbound.schemes`.
        sampling: Draft law of a node's children.
        num_drafts: n, children of each node.
    """

    scheme: str
    sampling: str
    num_drafts: int

    def columns(self) -> dict[str, Any]:
        """See `TreeRule.columns`."""
        return {
            "scheme": self.scheme,
            "sampling": self.sampling,
            "num_drafts": self.num_drafts,
        }

    def made(self) -> schemes.Scheme:
        """The scheme, with its draft law where it has a choice.

        Example:
            >>> NodeRule("optimal", "greedy", 2).made().sampling
            'greedy'
        """
        options = {"sampling": self.sampling} if self.scheme == OPTIMAL else {}
        return schemes.get(self.scheme, **options)

    def numbers(self, target: Floats, draft: Floats, tokens: Tokens) -> Floats:
        """B of each token: P(it is the output and was drafted) over its probability."""
        return np.asarray(self.made().token_acceptance(target, draft, self.num_drafts, tokens))

    def tail(
        self, target_logprob: Floats, draft_logprob: Floats, numbers: Floats, length: int
    ) -> Floats:
        """Running products of b."""
        del target_logprob, draft_logprob  # b has all that matters
        return paths.node_text_tail(numbers, length)


@dataclass(frozen=True)
class GbvRule(TreeRule):
    """Greedy multi-path block verification on K i.i.d. paths.

    Attributes:
        num_drafts: K.
    """

    num_drafts: int
    scheme: ClassVar[str] = GBV

    def columns(self) -> dict[str, Any]:
        """See `TreeRule.columns`."""
        return {"scheme": GBV, "sampling": "with_replacement", "num_drafts": self.num_drafts}

    def numbers(self, target: Floats, draft: Floats, tokens: Tokens) -> Floats:
        """Draft mass of the tokens that rank below."""
        return np.asarray(paths.draft_mass_below(target, draft, tokens))

    def tail(
        self, target_logprob: Floats, draft_logprob: Floats, numbers: Floats, length: int
    ) -> Floats:
        """Block verification of the path that is selected."""
        return paths.gbv_text_tail(target_logprob, draft_logprob, numbers, length, self.num_drafts)


@dataclass(frozen=True)
class QuantileRule(TreeRule):
    """Quantile-score path selection on K i.i.d. paths.

    Attributes:
        num_drafts: K.
        offsets: What they were chosen as; None for those of `trees.verifier("quantile")`.
    """

    num_drafts: int
    offsets: ChosenOffsets | None = field(default=None, compare=False)
    scheme: ClassVar[str] = QUANTILE

    def columns(self) -> dict[str, Any]:
        """See `TreeRule.columns`."""
        return {"scheme": QUANTILE, "sampling": "with_replacement", "num_drafts": self.num_drafts}

    @property
    def needs(self) -> tuple[object, ...]:
        """See `TreeRule.needs`: the same rows say it for every number of paths."""
        return (QUANTILE,)

    def numbers(self, target: Floats, draft: Floats, tokens: Tokens) -> Floats:
        """Draft mass of every class of ratios, and the class of the token."""
        found = trees.class_masses(target, draft, tokens)
        return np.column_stack([found.masses, found.token_class])

    def tail(
        self, target_logprob: Floats, draft_logprob: Floats, numbers: Floats, length: int
    ) -> Floats:
        """Block verification of the path that is selected."""
        classes = trees.ClassMasses(numbers[:, :-1], numbers[:, -1].astype(np.int64))
        bins = None if self.offsets is None else self.offsets.of(self.num_drafts, length).bins
        return trees.quantile_text_tail(
            target_logprob, draft_logprob, classes, length, self.num_drafts, bins=bins
        )
