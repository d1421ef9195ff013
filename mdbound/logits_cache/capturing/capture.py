"""Running a capture: batch by batch, shard by shard, resumable after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mdbound.bounds import Warpers
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.capturing.drafting.draw_trees import draw_trees
from mdbound.logits_cache.capturing.drafting.path_drawing import PathDrawing, path_drawing
from mdbound.logits_cache.capturing.generate import AnswerSampling, answer_conversations
from mdbound.logits_cache.capturing.mass_outside import MassOutside
from mdbound.logits_cache.capturing.plan import CapturePlan, plan_capture
from mdbound.logits_cache.capturing.progress import CaptureRun, CaptureSummary, ProgressCallback
from mdbound.logits_cache.capturing.score import record_logits
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.weights import load_drafts, load_target
from mdbound.logits_cache.store.atomic_files import make_folder, only_writer, remove_leftovers
from mdbound.logits_cache.store.manifest import MANIFEST_NAME, FileRecord, Manifest, ShardInfo
from mdbound.logits_cache.store.shards import ShardWriter, default_shard_rows
from mdbound.logits_cache.text.passages import Passage, batches, conversation_batches


class Shard(Protocol):
    """A shard in the making: takes passages in order, and appears whole or not at all.

    Attributes:
        rows: positions taken.
        documents: passages taken.
    """

    rows: int
    documents: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def record(
        self,
        models: Sequence[LanguageModel],
        passages: Sequence[Passage],
        outside: MassOutside,
    ) -> None:
        """Run the models, target first, on the passages, and take what they put out."""

    def finish(self) -> dict[str, FileRecord]:
        """Publish the shard's files; returns their records, by folder."""


OpenShard = Callable[[int], Shard]


class LogitsShard(ShardWriter):
    """A shard of a logits cache: texts, positions, and every model's raw logits.

    Args:
        cache: folder of the cache.
        index: number of the shard.
        vocab_size: logits per row, V.
        drawing: how drafts draw paths; None if they draw none.
        together: most contexts that a draft draws from in the same passes.
    """

    def __init__(
        self,
        cache: Path,
        index: int,
        vocab_size: int,
        drawing: PathDrawing | None = None,
        together: int = 8,
    ) -> None:
        super().__init__(cache, index, vocab_size)
        self._drawing = drawing
        self._together = together

    def record(
        self,
        models: Sequence[LanguageModel],
        passages: Sequence[Passage],
        outside: MassOutside,
    ) -> None:
        """Write the passages, and the logits of one model after the other.

        Raises:
            InvalidDistributionError: a row is NaN, infinite or masked throughout.
            OutputError: the disk refused the data.
        """
        first_row = self.rows
        _record_texts(self, passages)
        target, *drafts = models
        record_logits(self, target, passages, outside)
        for draft in drafts:
            if self._drawing is None:
                record_logits(self, draft, passages, outside)
            else:
                self._record_with_paths(self._drawing, target, draft, passages, outside, first_row)

    def _record_with_paths(
        self,
        drawing: PathDrawing,
        target: LanguageModel,
        draft: LanguageModel,
        passages: Sequence[Passage],
        outside: MassOutside,
        first_row: int,
    ) -> None:
        """Write a draft's logits, and the paths that it draws at some of the positions."""
        rows = [drawing.rows(item) for item in passages]
        roots = record_logits(self, draft, passages, outside, rows)
        contexts = []
        for item in passages:
            contexts += drawing.contexts(item, first_row)
            first_row += item.rows
        self.begin_paths(draft.record)
        for each in draw_trees(target, draft, contexts, roots, drawing, self._together):
            self.add_paths(draft.record, each.nodes, each.target_logits, each.draft_logits)


def capture(
    settings: CaptureSettings, on_progress: ProgressCallback | None = None
) -> CaptureSummary:
    """Record the raw logits of a target and its drafts on a text.

    Answers are sampled first; then target and drafts alike read prompt and answer once more, in
    one pass each, so that both sides' logits come from the same computation.

    With `paths`, each draft then draws paths at some of the positions, and both models' logits
    along them are recorded beside the rest.

    Running it again with the same settings continues after the last finished shard, and does
    nothing when all are there.

    Args:
        settings: what to capture, and where to.
        on_progress: called after each batch.

    Raises:
        InvalidSettingError: a setting is out of range, or differs from the cache's.
        ModelError: a model is missing, cannot be loaded, or has another tokenizer.
        TextSourceError: the text is missing or empty.
        InvalidDistributionError: a model puts out NaN or infinite logits.
        OutputError: the disk is full; finished shards stay.
        CacheError: another process is writing to the cache, or its manifest is damaged.
    """
    plan = plan_capture(settings)
    _refuse_foreign_folder(settings.out)
    vocab_size, drawing = plan.manifest.vocab_size, path_drawing(plan.manifest.generation)
    return run_plan(
        plan,
        settings,
        lambda index: LogitsShard(settings.out, index, vocab_size, drawing, settings.batch_size),
        on_progress,
    )


def run_plan(
    plan: CapturePlan,
    settings: CaptureSettings,
    open_shard: OpenShard,
    on_progress: ProgressCallback | None = None,
) -> CaptureSummary:
    """Run the models over the plan's passages, shard by shard, into whatever the shards make.

    `settings.out` keeps the manifest, and with it how far the run is: run again with the same
    settings, it goes on after the last finished shard.

    Args:
        plan: models, passages and manifest.
        settings: what the plan was made from.
        open_shard: begins the shard of a number, counted from 0.
        on_progress: called after each batch.

    Raises:
        InvalidSettingError: the settings differ from those of the manifest found.
        MdboundError: as `capture`, and whatever the shards raise.
    """
    make_folder(settings.out)
    run = CaptureRun(settings.out, len(plan.passages), on_progress)
    with only_writer(settings.out):
        manifest = _start_or_resume(plan.manifest, settings.out)
        run.passages = sum(shard.planned for shard in manifest.shards)
        if not manifest.complete:
            _write_missing_shards(plan, manifest, settings, open_shard, run)
    return run.summary()


def _refuse_foreign_folder(cache: Path) -> None:
    known = (cache / MANIFEST_NAME).exists()
    if not known and cache.is_dir() and any(cache.iterdir()):
        raise InvalidSettingError(
            f"{cache} is neither empty nor a logits cache; give another `out`"
        )


def _start_or_resume(planned: Manifest, cache: Path) -> Manifest:
    """The manifest to go on from; refuses a cache that was made with other settings."""
    if not (cache / MANIFEST_NAME).exists():
        return planned  # written once the models are loaded: one that is refused leaves nothing
    found = Manifest.read(cache)
    _check_same_settings(planned, found, cache)
    remove_leftovers(cache)
    return found


def _check_same_settings(planned: Manifest, found: Manifest, cache: Path) -> None:
    asked = [draft.name for draft in planned.drafts]
    known = [draft.name for draft in found.drafts]
    # Drafts that were added later are no reason to refuse the command that made the cache.
    if known[: len(asked)] != asked or (len(known) > len(asked) and not found.complete):
        raise InvalidSettingError(
            f"{cache} was captured with drafts {', '.join(known)}, not {', '.join(asked)}; "
            "give another `out`, or add a draft with `add_drafts`"
        )
    ours = planned.settings()
    theirs = replace(found, drafts=found.drafts[: len(asked)]).settings()
    for name in sorted(ours | theirs):
        if ours.get(name) != theirs.get(name):
            raise InvalidSettingError(
                f"{cache} was captured with {name} = {theirs.get(name)!r}, not "
                f"{ours.get(name)!r}; give another `out`, or the same settings to resume"
            )


def _write_missing_shards(
    plan: CapturePlan,
    manifest: Manifest,
    settings: CaptureSettings,
    open_shard: OpenShard,
    run: CaptureRun,
) -> None:
    answers = manifest.generation.mode == "generate"
    target = load_target(plan.models, manifest.vocab_size, decodes=answers)
    drafts = load_drafts(plan.models, manifest.vocab_size, target)
    manifest = manifest.with_models(model.record for model in (target, *drafts))
    manifest.write(settings.out)
    shard_rows = settings.shard_rows or default_shard_rows(manifest.vocab_size)
    run.start()
    answers = plan.follow_ups is not None
    waiting = batches(plan.passages[run.passages :], settings.batch_size, prompts=answers)
    while run.passages < run.total:
        before = run.passages
        outside = MassOutside.of((target, *drafts))
        with open_shard(len(manifest.shards)) as shard:
            while run.passages < run.total and shard.rows < shard_rows:
                batch = next(waiting)
                groups = [batch]
                if plan.follow_ups is not None:
                    sampling = _answer_sampling(manifest)
                    answered = answer_conversations(target, batch, plan.follow_ups, sampling)
                    groups = list(conversation_batches(answered, settings.batch_size))
                for group in groups:
                    shard.record((target, *drafts), group, outside)
                run.advance(len(batch), sum(item.rows for group in groups for item in group))
            files = shard.finish()
        done = run.passages - before
        info = ShardInfo(
            len(manifest.shards), shard.rows, shard.documents, files, done, **outside.means()
        )
        # The last shard completes the cache in the same write that makes it known.
        manifest = replace(manifest.with_shard(info), complete=run.passages == run.total)
        manifest.write(settings.out)


def _record_texts(writer: ShardWriter, batch: Sequence[Passage]) -> None:
    writer.add_documents(
        {
            "doc_id": [item.doc_id for item in batch],
            "task": [item.task for item in batch],
            "offset": [item.offset for item in batch],
            "first_row": [item.first_row for item in batch],
            "token_ids": [list(item.token_ids) for item in batch],
            "ended_by": [item.ended_by for item in batch],
        }
    )
    for item in batch:
        writer.add_positions(
            {
                "doc_id": item.doc_ids,
                "task": [item.task] * item.rows,
                "position": item.positions,
                "token_id": item.token_ids[item.first_row : -1],
                "next_token_id": item.token_ids[item.first_row + 1 :],
            }
        )


def _answer_sampling(manifest: Manifest) -> AnswerSampling:
    generation = manifest.generation
    if generation.warpers is None or generation.max_new_tokens is None:
        raise CacheError("the manifest has no warpers or max_new_tokens; capture again")
    warpers = Warpers.from_dict(generation.warpers)
    return AnswerSampling(warpers, generation.max_new_tokens, generation.seed)
