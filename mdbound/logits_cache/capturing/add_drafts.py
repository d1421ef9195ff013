"""Further drafts for a cache that exists: its contexts are read again, by the new models only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mdbound.errors import CacheError, InvalidSettingError, ModelError
from mdbound.logits_cache.capturing.mass_outside import MassOutside
from mdbound.logits_cache.capturing.progress import CaptureRun, CaptureSummary, ProgressCallback
from mdbound.logits_cache.capturing.score import record_logits
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.logit_columns import LogitColumns
from mdbound.logits_cache.models.pairing import PlannedModels, plan_models
from mdbound.logits_cache.models.weights import load_drafts
from mdbound.logits_cache.store.atomic_files import only_writer, remove_leftovers
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import TARGET, Manifest, ModelRecord, ShardInfo
from mdbound.logits_cache.store.shards import ShardWriter
from mdbound.logits_cache.text.passages import Passage, batches, conversation_batches


def add_drafts(
    cache: Path,
    drafts: Sequence[str],
    skip_layers: Sequence[tuple[int, ...]] = (),
    *,
    target: str | None = None,
    trust_remote_code: bool = False,
    align_vocabulary: str | None = None,
    draft_vocabulary: Sequence[str] = (),
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 8,
    on_progress: ProgressCallback | None = None,
) -> CaptureSummary:
    """Record further drafts on the contexts of an existing cache.

    Running it again after an interruption continues with the shards that lack a draft. Until
    all shards have it, readers of the cache do not see the draft.

    Args:
        cache: folder of a complete cache.
        drafts: draft models.
        skip_layers: layers to leave out of the target, one tuple per such draft.
        target: the cache's target: its tokenizer is compared, and drafts that skip layers are made
            of it. It has to be said, since the manifest of a cache that somebody else made can
            name anything; it may have moved, but not changed.
        trust_remote_code: whether code that lies in a model's folder may run.
        align_vocabulary: as of `CaptureSettings`.
        draft_vocabulary: likewise.
        device: where to run, or `auto`.
        dtype: type to compute in, or `auto`.
        batch_size: passages per forward pass.
        on_progress: called after each batch.

    Raises:
        CacheError: there is no complete cache, or it is damaged, or holds no token sequences.
        InvalidSettingError: no draft is given, one is given twice, or no target is.
        ModelError: a model is missing, cannot be loaded, or does not fit the cache.
        InvalidDistributionError: a model puts out NaN or infinite logits.
        OutputError: the disk is full; what was there before stays.
    """
    if not drafts and not skip_layers:
        raise InvalidSettingError("no draft; give `drafts` MODEL or `skip_layers` 14,20")
    planned = _growable_manifest(cache)
    if target is None:
        raise InvalidSettingError(
            f"{cache} says that its target is {planned.target.source!r}; give it as `target` if "
            "you want it loaded, or where that model is now"
        )
    models = plan_models(
        target,
        drafts,
        skip_layers,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        known=planned.drafts,
        align_vocabulary=align_vocabulary,
        draft_vocabulary=draft_vocabulary,
        vocab_size=planned.vocab_size,
    )
    _check_fits(models, planned)
    with only_writer(cache):
        run = _write_missing_drafts(cache, models, batch_size, on_progress)
    return run.summary()


def _write_missing_drafts(
    cache: Path, models: PlannedModels, batch_size: int, on_progress: ProgressCallback | None
) -> CaptureRun:
    records = [draft.record for draft in models.drafts]
    manifest = _growable_manifest(cache)
    remove_leftovers(cache)
    todo = [shard for shard in manifest.shards if _lacks_any(shard, records)]
    run = CaptureRun(cache, sum(shard.documents for shard in manifest.shards), on_progress)
    run.passages = run.total - sum(shard.documents for shard in todo)
    if todo:
        loaded = load_drafts(models, manifest.vocab_size)
        manifest = _announce(cache, manifest, [model.record for model in loaded])
        run.start()
        for shard in todo:
            columns = models.target.columns
            manifest = _extend_shard(manifest, shard, columns, loaded, batch_size, run)
    return run


def _growable_manifest(cache: Path) -> Manifest:
    manifest = Manifest.read(cache)
    if not manifest.complete:
        raise CacheError(f"{cache} is not complete; finish it with the command that started it")
    if any(not shard.documents for shard in manifest.shards):
        raise CacheError(f"{cache} was made from arrays and holds no text to run a draft on")
    return manifest


def _check_fits(models: PlannedModels, manifest: Manifest) -> None:
    source = models.target.record.source
    if models.tokenizer.sha256 != manifest.tokenizer_sha256:
        raise ModelError(
            f"the tokenizer of {source!r} has changed since the capture; capture again"
        )
    if models.target.record.revision != manifest.target.revision:
        raise ModelError(
            f"the target {source!r} has changed since the capture "
            f"(it was revision {manifest.target.revision[:12]}); capture again"
        )
    limit, needed = models.max_context, manifest.generation.max_context
    if limit is not None and needed is not None and needed > limit:
        raise ModelError(
            f"the cache has contexts of up to {needed} tokens, more than the {limit} that a draft "
            "was made for; capture again with a smaller `max_context`"
        )


def _announce(cache: Path, manifest: Manifest, records: Sequence[ModelRecord]) -> Manifest:
    """Enter the drafts in the manifest, so that an interrupted run knows what it was doing."""
    new = [record for record in records if record not in manifest.drafts]
    manifest = replace(manifest, drafts=(*manifest.drafts, *new)).with_models(records)
    manifest.write(cache)
    return manifest


def _lacks_any(shard: ShardInfo, records: Sequence[ModelRecord]) -> bool:
    return any(record.folder not in shard.files for record in records)


def _extend_shard(
    manifest: Manifest,
    shard: ShardInfo,
    target: LogitColumns | None,
    models: Sequence[LanguageModel],
    batch_size: int,
    run: CaptureRun,
) -> Manifest:
    """Add the files of new drafts to a shard whose rows are fixed."""
    cache = LogitsCache(run.cache, manifest)
    passages = [_stored_passage(row) for row in cache.read_documents(shard)]
    missing = [model for model in models if model.record.folder not in shard.files]
    outside = MassOutside(target, {model.record.name: model.columns for model in missing})
    if outside.needs_target:
        for stored in cache.iter_batches([TARGET], shards=[shard.index]):
            outside.add(TARGET, stored.logits[TARGET])
    with ShardWriter(run.cache, shard.index, manifest.vocab_size) as writer:
        for batch in _as_captured(passages, batch_size, manifest.generation.mode):
            for model in missing:
                record_logits(writer, model, batch, outside)
            run.advance(len(batch), sum(item.rows for item in batch))
        files = {**shard.files, **writer.finish()}
    manifest = manifest.with_shard(replace(shard, files=files).with_mass(**outside.means()))
    manifest.write(run.cache)
    return manifest


def _as_captured(
    passages: Sequence[Passage], batch_size: int, mode: str
) -> Iterator[Sequence[Passage]]:
    if mode == "generate":
        return conversation_batches(passages, batch_size)
    return batches(passages, batch_size, prompts=False)


def _stored_passage(row: dict[str, Any]) -> Passage:
    return Passage(
        row["doc_id"], row["task"], row["offset"], row["first_row"], tuple(row["token_ids"])
    )
