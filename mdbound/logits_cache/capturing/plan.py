"""From settings to a plan: models found and paired, text tokenized, the manifest drawn up.

Nothing here reads weights, so a mistake in the settings costs seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mdbound.errors import InvalidSettingError, ModelError, TextSourceError
from mdbound.logits_cache.capturing.settings import (
    DEFAULT_NEW_TOKENS,
    DEFAULT_PATH_CONTEXTS,
    SCORE_CONTEXT,
    CaptureSettings,
)
from mdbound.logits_cache.models.pairing import PlannedModels, plan_models
from mdbound.logits_cache.models.tokenizer import LoadedTokenizer
from mdbound.logits_cache.store.manifest import (
    EdgesRecord,
    GenerationRecord,
    Manifest,
    TextRecord,
    package_versions,
)
from mdbound.logits_cache.store.paths_record import PathsRecord
from mdbound.logits_cache.text.conversations import SYSTEM, Message, Questions, questions
from mdbound.logits_cache.text.documents import Document, load_documents, text_sha256
from mdbound.logits_cache.text.follow_ups import FollowUps
from mdbound.logits_cache.text.passages import Passage, PromptLimit, prompts, windows
from mdbound.logits_cache.text.sequences import Sequences
from mdbound.trees import Branching


@dataclass(frozen=True)
class CapturePlan:
    """A capture, ready to run.

    Attributes:
        models: the models.
        manifest: the manifest of the cache before its first shard.
        passages: first prompts (generate mode) or windows of text (score mode), in order.
        follow_ups: the prompts after the first; None in score mode.
    """

    models: PlannedModels
    manifest: Manifest
    passages: tuple[Passage, ...]
    follow_ups: FollowUps | None


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
        align_vocabulary=settings.align_vocabulary,
        draft_vocabulary=settings.draft_vocabulary,
    )
    generation = _generation_record(settings, models)
    end = models.tokenizer.encode.eos_token_id
    sequences = Sequences(models.tokenizer.encode, () if end is None else (end,))
    follow_ups = None
    if generation.mode == "generate":
        follow_ups = _follow_ups(documents, settings, sequences, generation)
        passages = _first_prompts(documents, follow_ups, generation)
    else:
        passages = _windows(documents, sequences, settings, generation)
    _check_tokens(passages, models)
    manifest = Manifest(
        vocab_size=models.vocab_size,
        tokenizer_sha256=models.tokenizer.sha256,
        target=models.target.record,
        drafts=tuple(draft.record for draft in models.drafts),
        text=_text_record(settings, documents, follow_ups),
        generation=replace(
            generation,
            chat_template=generation.chat_template or _has_conversation(documents, generation),
            edges=_edges_record(sequences, models.tokenizer, settings.window_bos),
        ),
        versions=package_versions(),
    )
    return CapturePlan(models, manifest, passages, follow_ups)


def _follow_ups(
    documents: Sequence[Document],
    settings: CaptureSettings,
    sequences: Sequences,
    generation: GenerationRecord,
) -> FollowUps:
    limit = PromptLimit(
        generation.max_context,
        generation.max_new_tokens or 0,
        settings.max_context is not None,
    )
    return FollowUps(
        {each.doc_id: _questions_of(each, settings) for each in documents},
        {each.doc_id: each.origin for each in documents},
        sequences,
        limit,
        generation.max_positions,
    )


def _questions_of(document: Document, settings: CaptureSettings) -> Questions:
    """What the target answers, after the system prompt that is asked for."""
    messages = document.conversation
    if settings.system is not None and all(each.role != SYSTEM for each in messages):
        messages = (Message(SYSTEM, settings.system), *messages)
    return questions(messages, settings.history, settings.turns)


def _first_prompts(
    documents: Sequence[Document], follow_ups: FollowUps, generation: GenerationRecord
) -> tuple[Passage, ...]:
    return tuple(
        prompts(
            documents,
            [follow_ups.asked[each.doc_id] for each in documents],
            follow_ups.sequences,
            chat_template=generation.chat_template,
            limit=follow_ups.limit,
        )
    )


def _windows(
    documents: Sequence[Document],
    sequences: Sequences,
    settings: CaptureSettings,
    generation: GenerationRecord,
) -> tuple[Passage, ...]:
    found = tuple(
        windows(
            documents,
            sequences,
            max_context=generation.max_context or SCORE_CONTEXT,
            max_positions=generation.max_positions,
            repeat_beginning=settings.window_bos,
        )
    )
    if not found:
        raise TextSourceError("the text gives 0 positions; give `text` that has some")
    return found


def _has_conversation(documents: Sequence[Document], generation: GenerationRecord) -> bool:
    """Whether a conversation is scored, which only a template makes a text of."""
    return generation.mode == "score" and any(each.messages and not each.text for each in documents)


def _check_tokens(passages: Sequence[Passage], models: PlannedModels) -> None:
    for passage in passages:
        largest = max(passage.token_ids)
        if largest >= models.target_tokens:
            raise ModelError(
                f"document {passage.doc_id} has token {models.tokenizer.tokens[largest]!r}, which "
                f"the target has no logits for; remove it from the text"
            )


def _text_record(
    settings: CaptureSettings, documents: Sequence[Document], follow_ups: FollowUps | None
) -> TextRecord:
    answered = follow_ups is not None
    talks = answered and any(document.messages for document in documents)
    return TextRecord(
        source=" ".join(settings.text),
        sha256=text_sha256(documents),
        documents=len(documents),
        field=settings.field,
        tasks=settings.tasks,
        limit=settings.limit,
        limit_per_task=settings.limit_per_task,
        system=settings.system,
        turns=settings.turns,
        history=settings.history if talks else None,
        prompts=follow_ups.prompts if follow_ups is not None else None,
    )


def _edges_record(
    sequences: Sequences, tokenizer: LoadedTokenizer, window_bos: bool
) -> EdgesRecord:
    edges, counts = sequences.edges, sequences.counts
    return EdgesRecord(
        beginning=tuple(str(tokenizer.tokens[token]) for token in edges.beginning),
        ending=tuple(str(tokenizer.tokens[token]) for token in edges.ending),
        windows=window_bos if counts.later_windows else None,
        doubled=counts.doubled,
        trailing=counts.trailing,
        ended=counts.ended,
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
    used = template if settings.chat_template is None else settings.chat_template
    if settings.system is not None and not used:
        raise InvalidSettingError(
            "`system` goes into a chat template, and none is used; leave it out"
        )
    answer = settings.max_new_tokens or DEFAULT_NEW_TOKENS
    return GenerationRecord(
        mode="generate",
        seed=settings.seed,
        max_context=context,
        max_positions=settings.max_positions,
        warpers=settings.warpers.as_dict(),
        max_new_tokens=min(answer, settings.max_positions or answer),
        chat_template=used,
        paths=_paths_record(settings, models, context),
    )


def _paths_record(
    settings: CaptureSettings, models: PlannedModels, context: int | None
) -> PathsRecord | None:
    law, length = settings.tree_law(), settings.drawn_length
    if length is None:
        return None
    if models.target.record.alignment is not None:
        raise InvalidSettingError(
            "`paths` and `tree` can hold tokens that the target lacks, and it cannot read on after "
            "them; leave them out, or take drafts without further tokens"
        )
    if context is not None and length >= context:
        raise InvalidSettingError(
            f"`length` {length} leaves no context: the models were made for at most "
            f"{context} tokens; give a shorter one"
        )
    contexts = settings.path_contexts or DEFAULT_PATH_CONTEXTS
    drawn = PathsRecord(
        count=settings.paths or 1,
        length=length,
        contexts=None if settings.path_every else contexts,
        warpers=settings.warpers.as_dict(),
        every=settings.path_every,
        temperatures=settings.path_temperatures or None,
    )
    if law is None:
        return drawn
    drawn = replace(drawn, count=law.first_draws, trees=settings.trees_per_context or 1)
    if isinstance(law, Branching):
        return replace(drawn, topology=law.children.slots, sampling=law.sampling)
    return replace(drawn, named=settings.tree)


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
