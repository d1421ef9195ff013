"""A loaded language model, and how its network is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbound.logits_cache.models.logit_columns import LogitColumns
from mdbound.logits_cache.store.manifest import ModelRecord


@dataclass(frozen=True)
class LanguageModel:
    """A loaded causal language model with what is needed to run it.

    Attributes:
        record: its entry in the manifest.
        network: the transformers model.
        device: where it runs.
        vocab_size: logits kept of each row, V.
        pad_id: token that fills masked columns.
        end_tokens: tokens that end an answer.
        accepted: optional arguments its forward pass knows.
        columns: which tokens its logits are of; None if each of the first V is of its own.
    """

    record: ModelRecord
    network: Any
    device: str
    vocab_size: int
    pad_id: int
    end_tokens: frozenset[int]
    accepted: frozenset[str]
    columns: LogitColumns | None = None

    def stored(self, logits: Any) -> Any:
        """Logits as they are stored: of shape (..., V), of all that the network puts out."""
        if self.columns is None:
            return logits[..., : self.vocab_size]
        return self.columns.placed(logits)

    def forward(
        self, input_ids: Any, attention_mask: Any, position_ids: Any, *, keep: int, **options: Any
    ) -> Any:
        """Run the network; its output's logits cover at least the last `keep` columns."""
        # Architectures without rotary or learned positions take no position_ids.
        if "position_ids" in self.accepted:
            options["position_ids"] = position_ids
        if "logits_to_keep" in self.accepted:
            options["logits_to_keep"] = keep
        return self.network(input_ids=input_ids, attention_mask=attention_mask, **options)
