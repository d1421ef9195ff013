"""Texts as tokens per call need them: two log-probabilities a token, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mdbound.analysis.paths.tree_rules import TreeRule

Floats = NDArray[np.float64]

#: How a sequence of a capture ended, as servers say it. Of an ending that is not known the calls at
#: the end are left out, as of one that the limit cut.
FINISH_REASONS: Mapping[str, str] = MappingProxyType(
    {"end_token": "stop", "text": "stop", "limit": "length", "unknown": "length"}
)


@dataclass(frozen=True)
class ScoredText:
    """One text, or answer, under the laws of one setting.

    Attributes:
        doc_id: Its document.
        turn: Which text of the document it is, from 0.
        task: Its task.
        finish_reason: `stop` or `length`.
        target_logprob: log p of its tokens, (N,).
        draft_logprob: log q of them.
        setting: Columns that name the laws.
        numbers: For each rule on trees one number a token, (N,).
    """

    doc_id: str
    turn: int
    task: str
    finish_reason: str
    target_logprob: Floats
    draft_logprob: Floats
    setting: Mapping[str, object]
    numbers: Mapping[TreeRule, Floats] = field(default_factory=dict)

    def first(self, tokens: int) -> ScoredText:
        """The text cut after so many tokens."""
        return replace(
            self,
            finish_reason="length",
            target_logprob=self.target_logprob[:tokens],
            draft_logprob=self.draft_logprob[:tokens],
            numbers={rule: each[:tokens] for rule, each in self.numbers.items()},
        )

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.doc_id if self.turn == 0 else f"{self.doc_id}, text {self.turn + 1}"
