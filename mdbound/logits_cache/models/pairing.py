"""A target and its drafts: found, paired by their tokenizer, and named apart; no weights read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.logits_cache.models.configuration import ModelShape, read_shape
from mdbound.logits_cache.models.logit_columns import LogitColumns
from mdbound.logits_cache.models.model_files import ModelFiles, find_model
from mdbound.logits_cache.models.placement import resolve_device, resolve_dtype
from mdbound.logits_cache.models.skipped_layers import check_skipped_layers
from mdbound.logits_cache.models.tokenizer import LoadedTokenizer, load_tokenizer
from mdbound.logits_cache.models.vocabularies import (
    ALIGNMENTS,
    Vocabulary,
    VocabularySide,
    common_size,
    read_maps,
)
from mdbound.logits_cache.models.vocabularies import draft_vocabulary as vocabulary_of
from mdbound.logits_cache.store.manifest import TARGET, AlignmentRecord, ModelRecord


@dataclass(frozen=True)
class PlannedModel:
    """A model to load: its files, its configuration and its entry in the manifest."""

    files: ModelFiles
    shape: ModelShape
    record: ModelRecord
    columns: LogitColumns | None = None  # as of `LanguageModel`


@dataclass(frozen=True)
class PlannedModels:
    """The models of a capture, paired.

    Attributes:
        target: the target.
        drafts: the drafts; those that skip layers refer to the target's files.
        tokenizer: the target's tokenizer, which they share as far as they have logits.
        device: where they run.
        vocab_size: logits to store per position, V: padding beyond the tokenizer is cut.
    """

    target: PlannedModel
    drafts: tuple[PlannedModel, ...]
    tokenizer: LoadedTokenizer
    device: str
    vocab_size: int

    @property
    def target_tokens(self) -> int:
        """Tokens that the target can put out, from 0 on; V unless a draft has more of them.

        Tokenizers may name a few tokens that the target never learnt to put out; there are no
        logits for those.
        """
        return min(self.tokenizer.vocab_size, self.target.shape.logits_width)

    @property
    def max_context(self) -> int | None:
        """The shortest context any of the models was made for, in tokens."""
        limits = [model.shape.max_context for model in (self.target, *self.drafts)]
        return min((limit for limit in limits if limit is not None), default=None)


def plan_models(
    target: str,
    drafts: Sequence[str],
    skip_layers: Sequence[tuple[int, ...]],
    *,
    device: str,
    dtype: str,
    trust_remote_code: bool = False,
    known: Sequence[ModelRecord] = (),
    align_vocabulary: str | None = None,
    draft_vocabulary: Sequence[str] = (),
    vocab_size: int | None = None,
) -> PlannedModels:
    """Find the target and the drafts, and check that they share a tokenizer.

    Args:
        target: the target model.
        drafts: draft models.
        skip_layers: layers to leave out of the target, one tuple per such draft.
        device: where to run, or `auto`.
        dtype: type to compute in, or `auto`.
        trust_remote_code: whether code that lies in a model's folder may run.
        known: drafts that a cache has already: the same draft again keeps its name.
        align_vocabulary: one of `ALIGNMENTS` for models that do not have the same tokens: with
            `prefix` one has further ones at the end, which have no probability on the other side.
        draft_vocabulary: for each of `drafts` a file with the tokens that it puts out, or `none`;
            empty if none has one.
        vocab_size: logits per position of the cache that drafts are added to.

    Raises:
        ModelError: a model is missing or does not fit the target.
        InvalidSettingError: the device, the dtype, a skipped layer or a vocabulary.
    """
    if align_vocabulary is not None:
        refuse_unknown([align_vocabulary], ALIGNMENTS, "`align_vocabulary`")
    maps = read_maps(draft_vocabulary, len(drafts))
    device = resolve_device(device)
    files = find_model(target, trust_remote_code=trust_remote_code)
    planned_target = _planned(files, TARGET, device, dtype)
    tokenizer = load_tokenizer(files)
    ours = _side(planned_target, tokenizer)
    found = []
    for source, own_map in zip(drafts, maps, strict=True):
        draft_files = find_model(source, trust_remote_code=trust_remote_code)
        draft = _planned(draft_files, draft_files.short_name, device, dtype)
        theirs = _side(draft, tokenizer if draft_files.revision == files.revision else None)
        found.append((draft, vocabulary_of(ours, theirs, own_map, align_vocabulary)))
    size = common_size(ours.tokens, [each for _, each in found], vocab_size)
    planned_target = _with_first(planned_target, ours.tokens, size)
    planned = [_aligned(draft, vocabulary, size) for draft, vocabulary in found]
    planned += [_skipping(planned_target, skipped) for skipped in skip_layers]
    return PlannedModels(planned_target, _named_apart(planned, known), tokenizer, device, size)


def _side(model: PlannedModel, tokenizer: LoadedTokenizer | None) -> VocabularySide:
    """A model as far as its vocabulary goes; its tokenizer is loaded when it is needed."""
    load = cache(lambda: load_tokenizer(model.files)) if tokenizer is None else lambda: tokenizer
    return VocabularySide(model.record.source, model.shape.logits_width, load)


def _aligned(draft: PlannedModel, vocabulary: Vocabulary, size: int) -> PlannedModel:
    if isinstance(vocabulary, int):
        return _with_first(draft, vocabulary, size)
    columns = vocabulary.columns(draft.shape.logits_width, size, draft.record.source)
    record = AlignmentRecord("map", len(vocabulary.tokens), vocabulary.sha256)
    return replace(draft, columns=columns, record=replace(draft.record, alignment=record))


def _with_first(model: PlannedModel, count: int, size: int) -> PlannedModel:
    """The model with logits for the first `count` of `size` tokens."""
    if count >= size:
        return model
    record = replace(model.record, alignment=AlignmentRecord("prefix", count))
    return replace(model, columns=LogitColumns.first(count, size), record=record)


def _planned(files: ModelFiles, name: str, device: str, dtype: str) -> PlannedModel:
    shape = read_shape(files)
    record = ModelRecord(
        name=name,
        source=files.source,
        kind=files.kind,
        revision=files.revision,
        dtype=resolve_dtype(dtype, device, shape),
        logits_width=shape.logits_width,
        trust_remote_code=files.trust_remote_code,
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
