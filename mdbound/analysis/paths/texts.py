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
        last_levels: For each rule whose last level is exact, `paths.last_level_of_rows`, (N, L).
        sampling_logprob: log s of the tokens, (N,), of a text that was written at other settings
            of the target than these; None of a text at its own.
    """

    doc_id: str
    turn: int
    task: str
    finish_reason: str
    target_logprob: Floats
    draft_logprob: Floats
    setting: Mapping[str, object]
    numbers: Mapping[TreeRule, Floats] = field(default_factory=dict)
    last_levels: Mapping[str, Floats] = field(default_factory=dict)
    sampling_logprob: Floats | None = None

    def first(self, tokens: int) -> ScoredText:
        """The text cut after so many tokens."""
        own = self.sampling_logprob
        return replace(
            self,
            finish_reason="length",
            target_logprob=self.target_logprob[:tokens],
            draft_logprob=self.draft_logprob[:tokens],
            numbers={rule: each[:tokens] for rule, each in self.numbers.items()},
            last_levels={rule: each[:tokens] for rule, each in self.last_levels.items()},
            sampling_logprob=None if own is None else own[:tokens],
        )

    @property
    def law_logprob(self) -> Floats:
        """Log-probabilities of the tokens under the law that the text is of."""
        return self.target_logprob if self.sampling_logprob is None else self.sampling_logprob

    @property
    def law(self) -> str:
        """How messages call the law of the target."""
        return ", ".join(
            f"`{name}` {self.setting[name]}"
            for name in ("temperature", "top_k", "top_p", "min_p")
            if self.setting[name] is not None
        )

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.doc_id if self.turn == 0 else f"{self.doc_id}, text {self.turn + 1}"
