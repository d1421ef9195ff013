"""What a selection rule is made for, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mdbound.bounds.canonical.blocks import Blocks
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import InvalidSettingError


@dataclass(frozen=True)
class DecomposedPosition:
    """One position with its canonical law.

    Attributes:
        target: p, shape (V,).
        drafts: distributions of the drafts, shape (1, V), or (n, V) where each has its own.
        num_drafts: n.
        selected: p_I, shape (V,).
        blocks: pieces on which p_I is proportional to p.
    """

    target: FloatArray
    drafts: FloatArray
    num_drafts: int
    selected: FloatArray
    blocks: Blocks

    def ranks(self, tokens: IntArray) -> IntArray:
        """Places of drafted tokens in `blocks.order`.

        Raises:
            InvalidSettingError: a token that is never drafted.
        """
        outside = (tokens < 0) | (tokens >= len(self.target))
        ranks = self._rank[np.where(outside, 0, tokens)]
        never = outside | (ranks < 0)
        if never.any():
            raise InvalidSettingError(
                f"drafted token {int(tokens[never][0])} cannot be drafted: "
                "it is outside the vocabulary or has draft probability 0"
            )
        return np.asarray(ranks)

    @cached_property
    def _rank(self) -> IntArray:
        """Place of every token in `blocks.order`, -1 for none: kept, as draws ask again."""
        rank = np.full(len(self.target), -1, dtype=np.int64)
        rank[self.blocks.order] = np.arange(len(self.blocks.order))
        return rank


class SelectionRule(Protocol):
    """Selects one of the drafted tokens of a position."""

    def log_shares(self, tokens: IntArray) -> FloatArray:
        """Logarithm of each draw's share, up to a factor for each tuple, -inf for none.

        Args:
            tokens: tuples of drafts, shape (size, k): k = n, or fewer where the draft has fewer
                tokens.

        Raises:
            InvalidSettingError: a tuple that the draft law cannot draw, or a position that is too
                large for the rule.
            UnsolvedError: the rule was not found to its promised error.
        """
        ...
