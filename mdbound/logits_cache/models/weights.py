"""The planned models, loaded: probed, and with weights shared between the target and its drafts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.logit_columns import LogitColumns
from mdbound.logits_cache.models.network import load_network
from mdbound.logits_cache.models.pairing import PlannedModel, PlannedModels
from mdbound.logits_cache.models.probe.probe import probe_network
from mdbound.logits_cache.models.skipped_layers import without_layers
from mdbound.logits_cache.store.manifest import ModelRecord


def load_target(models: PlannedModels, vocab_size: int, *, decodes: bool = True) -> LanguageModel:
    """Load and probe the target.

    Args:
        models: the planned models.
        vocab_size: logits to keep, V.
        decodes: whether it is to answer prompts, and not only to read.

    Raises:
        ModelError: its weights cannot be read or are not complete, or it is not causal.
    """
    return _load(models.target, models, vocab_size, decodes=decodes)


def load_drafts(
    models: PlannedModels, vocab_size: int, target: LanguageModel | None = None
) -> list[LanguageModel]:
    """Load and probe the drafts; those that skip layers share the target's weights.

    Args:
        models: the planned models.
        vocab_size: logits to keep, V.
        target: the target if it is loaded already; else it is loaded only if a draft needs it.

    Raises:
        ModelError: a model's weights cannot be read or are not complete, or it is not causal.
    """
    drafts = []
    for planned in models.drafts:
        if planned.record.skipped_layers:
            target = target or load_target(models, vocab_size, decodes=False)
            network = without_layers(target.network, planned.record.skipped_layers)
            record = replace(planned.record, unused_weights=target.record.unused_weights)
            drafts.append(_probed(network, record, models, vocab_size, planned.columns))
        else:
            drafts.append(_load(planned, models, vocab_size))
    return drafts


def _load(
    planned: PlannedModel, models: PlannedModels, vocab_size: int, *, decodes: bool = False
) -> LanguageModel:
    network, unused = load_network(
        planned.files, planned.shape.config, planned.record.dtype, models.device
    )
    record = replace(planned.record, unused_weights=unused)
    return _probed(network, record, models, vocab_size, planned.columns, decodes=decodes)


def _probed(
    network: Any,
    record: ModelRecord,
    models: PlannedModels,
    vocab_size: int,
    columns: LogitColumns | None,
    *,
    decodes: bool = False,
) -> LanguageModel:
    encode = models.tokenizer.encode
    embedded = _embedded_tokens(network, vocab_size)
    ends = _end_tokens(network, encode)
    pad = _pad_token(network, encode, ends, embedded)
    findings = probe_network(
        network,
        dtype=record.dtype,
        device=models.device,
        pad_id=pad,
        vocab_size=min(embedded, vocab_size),
        avoided={*encode.all_special_ids, pad},
        name=record.name if record.skipped_layers else record.source,
        decodes=decodes,
    )
    return LanguageModel(
        record=replace(record, probe=findings),
        network=network,
        device=models.device,
        vocab_size=vocab_size,
        pad_id=pad,
        end_tokens=ends,
        findings=findings,
        columns=columns,
    )


def _end_tokens(network: Any, encode: Any) -> frozenset[int]:
    configured = getattr(network.generation_config, "eos_token_id", None)
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(int(end) for end in [*ends, encode.eos_token_id] if end is not None)


def _embedded_tokens(network: Any, vocab_size: int) -> int:
    """Tokens that the network can read."""
    try:
        return int(network.get_input_embeddings().weight.shape[0])
    except (AttributeError, NotImplementedError):  # a few families have another kind of input
        return vocab_size


def _pad_token(network: Any, encode: Any, ends: frozenset[int], embedded: int) -> int:
    """A token for masked columns: any will do that the network can read.

    The network's own comes first: the RoBERTa family counts positions from its padding token.
    """
    own = getattr(network.config.get_text_config(), "pad_token_id", None)
    candidates = [own, encode.pad_token_id, *sorted(ends), 0]
    return next(token for token in candidates if isinstance(token, int) and 0 <= token < embedded)
