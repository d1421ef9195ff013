"""A loaded language model, and how it is run for what its probe found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbound.logits_cache.models.forward import Forward
from mdbound.logits_cache.models.logit_columns import LogitColumns
from mdbound.logits_cache.store.manifest import ModelRecord
from mdbound.logits_cache.store.probe_record import ProbeRecord


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
        findings: what its probe found.
        columns: which tokens its logits are of; None if each of the first V is of its own.
    """

    record: ModelRecord
    network: Any
    device: str
    vocab_size: int
    pad_id: int
    end_tokens: frozenset[int]
    findings: ProbeRecord
    columns: LogitColumns | None = None

    def stored(self, logits: Any) -> Any:
        """Logits as they are stored: of shape (..., V), of all that the network puts out."""
        if self.columns is None:
            return logits[..., : self.vocab_size]
        return self.columns.placed(logits)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any,
        position_ids: Any,
        *,
        keep: int,
        use_cache: bool = False,
        past_key_values: Any = None,
    ) -> Any:
        """Run the network; its output's logits cover at least the last `keep` columns.

        Args:
            input_ids: tokens, shape (B, T).
            attention_mask: 1 on real tokens, over what the cache holds as well.
            position_ids: counted from each sequence's first token, shape (B, T); not passed to a
                model that makes its own.
            keep: columns whose logits are needed, from the right.
            use_cache: whether to return a key-value cache.
            past_key_values: cache of the columns before.
        """
        call = Forward.of(self.network)
        if self.findings.length_switch is not None and past_key_values is None:
            # Dynamic rope keeps the frequencies of the longest sequence so far until it meets a
            # short one: without this, logits would depend on what was run before.
            call(input_ids[:1, :1])
        return call(
            input_ids,
            attention_mask,
            position_ids=position_ids if self.findings.position_ids == "counted" else None,
            logits_to_keep=keep,
            use_cache=use_cache,
            past_key_values=past_key_values,
        )
