"""The weights of planned models, shared between the target and the drafts made from it."""

from __future__ import annotations

from mdbound.logits_cache.capturing.plan import PlannedModel, PlannedModels
from mdbound.logits_cache.capturing.score import LanguageModel
from mdbound.logits_cache.models.load import load_model, without_layers


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
    return load_model(
        planned.files,
        planned.record,
        models.tokenizer,
        vocab_size=vocab_size,
        device=models.device,
    )
