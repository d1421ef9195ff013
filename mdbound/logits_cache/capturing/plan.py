"""From settings to a plan: models found and paired, text tokenized, the manifest drawn up.

Nothing here reads weights, so a mistake in the settings costs seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.capturing.settings import (
    DEFAULT_NEW_TOKENS,
    SCORE_CONTEXT,
    CaptureSettings,
)
from mdbound.logits_cache.models.load import (
    ModelShape,
    check_skipped_layers,
    read_shape,
    resolve_device,
    resolve_dtype,
)
from mdbound.logits_cache.models.model_files import ModelFiles, find_model
from mdbound.logits_cache.models.tokenizer import (
    LoadedTokenizer,
    check_same_vocabulary,
    load_tokenizer,
)
from mdbound.logits_cache.store.manifest import (
    TARGET,
    GenerationRecord,
    Manifest,
    ModelRecord,
    TextRecord,
    package_versions,
)
from mdbound.logits_cache.text.documents import Document, load_documents, text_sha256
from mdbound.logits_cache.text.passages import Passage, prompts, windows


@dataclass(frozen=True)
class PlannedModel:
    """A model to load: its files, its configuration and its entry in the manifest."""

    files: ModelFiles
    shape: ModelShape
    record: ModelRecord


@dataclass(frozen=True)
class PlannedModels:
    """The models of a capture, paired.

    Attributes:
        target: the target.
        drafts: the drafts; those that skip layers refer to the target's files.
        tokenizer: the tokenizer they share.
        device: where they run.
    """

    target: PlannedModel
    drafts: tuple[PlannedModel, ...]
    tokenizer: LoadedTokenizer
    device: str

    @property
    def vocab_size(self) -> int:
        """Logits to store per position, V: padding beyond the tokenizer is cut.

        Tokenizers may name a few tokens that the target never learnt to put out; there are no
        logits for those.
        """
        return min(self.tokenizer.vocab_size, self.target.shape.logits_width)

    @property
    def max_context(self) -> int | None:
        """The shortest context any of the models was made for, in tokens."""
        limits = [model.shape.max_context for model in (self.target, *self.drafts)]
        return min((limit for limit in limits if limit is not None), default=None)


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


def plan_models(
    target: str,
    drafts: Sequence[str],
    skip_layers: Sequence[tuple[int, ...]],
    *,
    device: str,
    dtype: str,
    known: Sequence[ModelRecord] = (),
) -> PlannedModels:
    """Find the target and the drafts, and check that they share a tokenizer.

    Args:
        target: the target model.
        drafts: draft models.
        skip_layers: layers to leave out of the target, one tuple per such draft.
        device: where to run, or `auto`.
        dtype: type to compute in, or `auto`.
        known: drafts that a cache has already: the same draft again keeps its name.

    Raises:
        ModelError: a model is missing or does not fit the target.
        InvalidSettingError: the device, the dtype or a skipped layer.
    """
    device = resolve_device(device)
    files = find_model(target)
    planned_target = _planned(files, TARGET, device, dtype)
    tokenizer = load_tokenizer(files)
    planned = []
    for source in drafts:
        draft_files = find_model(source)
        if draft_files.revision != files.revision:
            check_same_vocabulary(tokenizer, load_tokenizer(draft_files))
        planned.append(_planned(draft_files, draft_files.short_name, device, dtype))
    planned += [_skipping(planned_target, skipped) for skipped in skip_layers]
    models = PlannedModels(planned_target, _named_apart(planned, known), tokenizer, device)
    for draft in models.drafts:
        _check_width(draft, models.vocab_size)
    return models


def _planned(files: ModelFiles, name: str, device: str, dtype: str) -> PlannedModel:
    shape = read_shape(files)
    record = ModelRecord(
        name=name,
        source=files.source,
        kind=files.kind,
        revision=files.revision,
        dtype=resolve_dtype(dtype, device, shape),
        logits_width=shape.logits_width,
    )
    return PlannedModel(files, shape, record)


def _skipping(target: PlannedModel, skipped: tuple[int, ...]) -> PlannedModel:
    check_skipped_layers(skipped, target.shape.layers)
    name = "skip-" + "-".join(str(layer) for layer in skipped)
    record = replace(target.record, name=name, kind="skip-layers", skipped_layers=skipped)
    return replace(target, record=record)


def _named_apart(
    drafts: Sequence[PlannedModel], known: Sequence[ModelRecord]
) -> tuple[PlannedModel, ...]:
    """Give drafts of one name different ones, and a draft that is known its known name."""
    names = {replace(record, name=""): record.name for record in known}
    taken = {TARGET, *names.values()}
    seen: set[ModelRecord] = set()
    named = []
    for draft in drafts:
        content = replace(draft.record, name="")
        if content in seen:
            raise InvalidSettingError(f"draft {draft.record.name!r} is asked for twice")
        seen.add(content)
        name = names.get(content) or _unused(draft.record.name, taken)
        taken.add(name)
        named.append(replace(draft, record=replace(draft.record, name=name)))
    return tuple(named)


def _unused(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, `name-3`, ... whichever is free.

    >>> _unused("small", {"small", "small-2"})
    'small-3'
    """
    candidates = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _check_width(draft: PlannedModel, vocab_size: int) -> None:
    # Wider logits are padding and are cut. Narrower ones would leave tokens without probability.
    if draft.shape.logits_width < vocab_size:
        raise ModelError(
            f"draft {draft.record.source!r} has {draft.shape.logits_width} logits for a vocabulary "
            f"of {vocab_size} tokens; resize its embeddings or take another draft"
        )


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
            f"the tokenizer of {settings.target!r} has no chat template; use --no-chat-template"
        )
    answer = settings.max_new_tokens or DEFAULT_NEW_TOKENS
    return GenerationRecord(
        mode="generate",
        seed=settings.seed,
        max_context=context,
        max_positions=settings.max_positions,
        temperature=1.0 if settings.temperature is None else float(settings.temperature),
        max_new_tokens=min(answer, settings.max_positions or answer),
        chat_template=template if settings.chat_template is None else settings.chat_template,
    )


def _max_context(settings: CaptureSettings, models: PlannedModels) -> int | None:
    longest = models.max_context
    asked = settings.max_context
    if asked is not None and longest is not None and asked > longest:
        raise InvalidSettingError(
            f"--max-context is {asked}; the models were made for at most {longest} tokens"
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
