"""A target and its drafts: found, paired by their tokenizer, and named apart; no weights read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from mdbound.errors import InvalidSettingError, ModelError
from mdbound.logits_cache.models.configuration import ModelShape, read_shape
from mdbound.logits_cache.models.model_files import ModelFiles, find_model
from mdbound.logits_cache.models.placement import resolve_device, resolve_dtype
from mdbound.logits_cache.models.skipped_layers import check_skipped_layers
from mdbound.logits_cache.models.tokenizer import (
    LoadedTokenizer,
    check_same_vocabulary,
    load_tokenizer,
)
from mdbound.logits_cache.store.manifest import TARGET, ModelRecord


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


def plan_models(
    target: str,
    drafts: Sequence[str],
    skip_layers: Sequence[tuple[int, ...]],
    *,
    device: str,
    dtype: str,
    trust_remote_code: bool = False,
    known: Sequence[ModelRecord] = (),
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

    Raises:
        ModelError: a model is missing or does not fit the target.
        InvalidSettingError: the device, the dtype or a skipped layer.
    """
    device = resolve_device(device)
    files = find_model(target, trust_remote_code=trust_remote_code)
    planned_target = _planned(files, TARGET, device, dtype)
    tokenizer = load_tokenizer(files)
    planned = []
    for source in drafts:
        draft_files = find_model(source, trust_remote_code=trust_remote_code)
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


def _check_width(draft: PlannedModel, vocab_size: int) -> None:
    # Wider logits are padding and are cut. Narrower ones would leave tokens without probability.
    if draft.shape.logits_width < vocab_size:
        raise ModelError(
            f"draft {draft.record.source!r} has {draft.shape.logits_width} logits for a vocabulary "
            f"of {vocab_size} tokens; resize its embeddings or take another draft"
        )
