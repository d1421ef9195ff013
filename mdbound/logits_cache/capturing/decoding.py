"""Decoding: how a batch of sequences is extended by one token after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.text.passages import pad_batch


class Decoding(Protocol):
    """Sequences in the making."""

    def logits(self) -> Any:
        """Logits after the last token of each, a tensor of shape (B, V)."""

    def append(self, tokens: Sequence[int]) -> None:
        """Extend every sequence by one token."""


def decoding_of(model: LanguageModel, sequences: Sequence[Sequence[int]], longest: int) -> Decoding:
    """Start decoding, in the way that the model's probe found right.

    Args:
        model: the model.
        sequences: what is extended; they share a batch.
        longest: tokens that a sequence can come to have.
    """
    if model.findings.may_use_cache(longest):
        return _KeyValueSteps(model, sequences)
    return _WholeSequences(model, sequences)


class _KeyValueSteps:
    """One column per token, on a key-value cache of those before; short sequences padded left."""

    def __init__(self, model: LanguageModel, sequences: Sequence[Sequence[int]]) -> None:
        ends = [len(tokens) - 1 for tokens in sequences]
        batch = pad_batch(sequences, ends, model.pad_id, model.device)
        self._model = model
        self._mask = batch.attention_mask
        self._next_positions = batch.position_ids[:, -1:] + 1
        self._output = self._forward(batch.input_ids, batch.position_ids, None)

    def logits(self) -> Any:
        return self._model.stored(self._output.logits[:, -1])

    def append(self, tokens: Sequence[int]) -> None:
        import torch

        column = torch.tensor(tokens, device=self._mask.device)[:, None]  # (B, 1)
        self._mask = torch.cat([self._mask, torch.ones_like(column)], dim=1)
        self._output = self._forward(column, self._next_positions, self._output.past_key_values)
        self._next_positions = self._next_positions + 1

    def _forward(self, input_ids: Any, position_ids: Any, past: Any) -> Any:
        return self._model.forward(
            input_ids, self._mask, position_ids, keep=1, past_key_values=past, use_cache=True
        )


class _WholeSequences:
    """All columns for every token: for models without a key-value cache, or with a wrong one."""

    def __init__(self, model: LanguageModel, sequences: Sequence[Sequence[int]]) -> None:
        self._model = model
        self._sequences = [list(tokens) for tokens in sequences]

    def logits(self) -> Any:
        ends = [len(tokens) - 1 for tokens in self._sequences]
        batch = pad_batch(self._sequences, ends, self._model.pad_id, self._model.device)
        output = self._model.forward(
            batch.input_ids, batch.attention_mask, batch.position_ids, keep=1
        )
        return self._model.stored(output.logits[:, -1])

    def append(self, tokens: Sequence[int]) -> None:
        for sequence, token in zip(self._sequences, tokens, strict=True):
            sequence.append(token)
