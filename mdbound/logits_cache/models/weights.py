"""The weights of planned models, shared between the target and the drafts made from it."""

from __future__ import annotations

import inspect
from typing import Any

from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.model_files import cannot_load
from mdbound.logits_cache.models.pairing import PlannedModel, PlannedModels
from mdbound.logits_cache.models.quiet_transformers import quiet_transformers
from mdbound.logits_cache.models.skipped_layers import without_layers

_FORWARD_OPTIONS = ("position_ids", "logits_to_keep")


def load_target(models: PlannedModels, vocab_size: int) -> LanguageModel:
    """Load the target.

    Raises:
        ModelError: its weights cannot be read.
    """
    return _load(models.target, models, vocab_size)


def load_drafts(
    models: PlannedModels, vocab_size: int, target: LanguageModel | None = None
) -> list[LanguageModel]:
    """Load the drafts; those that skip layers share the target's weights.

    Args:
        models: the planned models.
        vocab_size: logits to keep, V.
        target: the target if it is loaded already; else it is loaded only if a draft needs it.

    Raises:
        ModelError: a model's weights cannot be read.
    """
    drafts = []
    for planned in models.drafts:
        if planned.record.skipped_layers:
            target = target or load_target(models, vocab_size)
            drafts.append(without_layers(target, planned.record))
        else:
            drafts.append(_load(planned, models, vocab_size))
    return drafts


def _load(planned: PlannedModel, models: PlannedModels, vocab_size: int) -> LanguageModel:
    with quiet_transformers() as transformers:
        import torch

        try:
            network = transformers.AutoModelForCausalLM.from_pretrained(
                planned.files.location,
                dtype=getattr(torch, planned.record.dtype),
                **planned.files.options,
            )
            network = network.to(models.device).eval()
        except Exception as error:  # transformers raises whatever its readers raise
            raise cannot_load(planned.files, error) from error
    encode = models.tokenizer.encode
    ends = _end_tokens(network, encode)
    pad = encode.pad_token_id if encode.pad_token_id is not None else min(ends, default=0)
    return LanguageModel(
        record=planned.record,
        network=network,
        device=models.device,
        vocab_size=vocab_size,
        pad_id=int(pad),
        end_tokens=ends,
        accepted=_accepted_options(network),
        columns=planned.columns,
    )


def _end_tokens(network: Any, encode: Any) -> frozenset[int]:
    configured = getattr(network.generation_config, "eos_token_id", None)
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(int(end) for end in [*ends, encode.eos_token_id] if end is not None)


def _accepted_options(network: Any) -> frozenset[str]:
    parameters = inspect.signature(network.forward).parameters
    return frozenset(name for name in _FORWARD_OPTIONS if name in parameters)
