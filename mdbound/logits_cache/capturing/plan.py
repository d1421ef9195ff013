"""From settings to a plan: models found and paired, text tokenized, the manifest drawn up.

Nothing here reads weights, so a mistake in the settings costs seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.capturing.settings import (
    DEFAULT_NEW_TOKENS,
    SCORE_CONTEXT,
    CaptureSettings,
)
from mdbound.logits_cache.models.pairing import PlannedModels, plan_models
from mdbound.logits_cache.models.tokenizer import LoadedTokenizer
from mdbound.logits_cache.store.manifest import (
    GenerationRecord,
    Manifest,
    TextRecord,
    package_versions,
)
from mdbound.logits_cache.text.documents import Document, load_documents, text_sha256
from mdbound.logits_cache.text.passages import Passage, prompts, windows


@dataclass(frozen=True)
class CapturePlan:
    """A capture, ready to run.

    Attributes:
        models: the models.
        manifest: the manifest of the cache before its first shard.
        passages: prompts (generate mode) or windows of text (score mode), in order.
    """

    models: PlannedModels
    manifest: Manifest
    passages: tuple[Passage, ...]


def plan_capture(settings: CaptureSettings) -> CapturePlan:
    """Find the models, read and tokenize the text, draw up the manifest.

    Raises:
        InvalidSettingError: a setting is out of range or does not fit the models.
        ModelError: a model is missing or does not share the target's tokenizer.
        TextSourceError: the text is missing or empty.
    """
    settings.check()
    documents = load_documents(
        settings.text,
        field=settings.field,
        tasks=settings.tasks,
        limit=settings.limit,
        limit_per_task=settings.limit_per_task,
    )
    models = plan_models(
        settings.target,
        settings.drafts,
        settings.skip_layers,
        device=settings.device,
        dtype=settings.dtype,
        trust_remote_code=settings.trust_remote_code,
    )
    generation = _generation_record(settings, models)
    manifest = Manifest(
        vocab_size=models.vocab_size,
        tokenizer_sha256=models.tokenizer.sha256,
        target=models.target.record,
        drafts=tuple(draft.record for draft in models.drafts),
        text=_text_record(settings, documents),
        generation=generation,
        versions=package_versions(),
    )
    passages = tuple(_passages(documents, models.tokenizer, generation))
    _check_tokens(passages, models)
    return CapturePlan(models, manifest, passages)


def _check_tokens(passages: Sequence[Passage], models: PlannedModels) -> None:
    for passage in passages:
        largest = max(passage.token_ids)
        if largest >= models.vocab_size:
            raise ModelError(
                f"document {passage.doc_id} has token {models.tokenizer.tokens[largest]!r}, which "
                f"the target has no logits for; remove it from the text"
            )


def _text_record(settings: CaptureSettings, documents: Sequence[Document]) -> TextRecord:
    return TextRecord(
        source=" ".join(settings.text),
        sha256=text_sha256(documents),
        documents=len(documents),
        field=settings.field,
        tasks=settings.tasks,
        limit=settings.limit,
        limit_per_task=settings.limit_per_task,
    )


def _generation_record(settings: CaptureSettings, models: PlannedModels) -> GenerationRecord:
    context = _max_context(settings, models)
    if settings.mode == "score":
        return GenerationRecord("score", settings.seed, context, settings.max_positions)
    template = models.tokenizer.has_chat_template
    if settings.chat_template and not template:
        raise ModelError(
            f"the tokenizer of {settings.target!r} has no chat template; leave out `chat_template`"
        )
    answer = settings.max_new_tokens or DEFAULT_NEW_TOKENS
    return GenerationRecord(
        mode="generate",
        seed=settings.seed,
        max_context=context,
        max_positions=settings.max_positions,
        warpers=_warpers(settings).as_dict(),
        max_new_tokens=min(answer, settings.max_positions or answer),
        chat_template=template if settings.chat_template is None else settings.chat_template,
    )


def _warpers(settings: CaptureSettings) -> Warpers:
    return Warpers() if settings.temperature is None else Warpers(settings.temperature)


def _max_context(settings: CaptureSettings, models: PlannedModels) -> int | None:
    longest = models.max_context
    asked = settings.max_context
    if asked is not None and longest is not None and asked > longest:
        raise InvalidSettingError(
            f"`max_context` {asked}: the models were made for at most {longest} tokens"
        )
    if asked is not None or settings.mode == "generate":
        return asked or longest
    return min(SCORE_CONTEXT, longest or SCORE_CONTEXT)


def _passages(
    documents: Sequence[Document], tokenizer: LoadedTokenizer, generation: GenerationRecord
) -> Iterable[Passage]:
    if generation.mode == "score":
        return windows(
            documents,
            tokenizer.encode,
            max_context=generation.max_context or SCORE_CONTEXT,
            max_positions=generation.max_positions,
        )
    # Without a stated limit (models with unlimited positions) any prompt fits.
    answer = generation.max_new_tokens or 0
    room = float("inf") if generation.max_context is None else generation.max_context - answer
    return prompts(
        documents, tokenizer.encode, chat_template=generation.chat_template, max_prompt=room
    )
