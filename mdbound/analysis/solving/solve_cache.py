"""Capture -> results: every position and setting solved, streaming and resumable.

Results go to `OUT.parts/`, one file per shard of the capture, each written under a temporary
name and renamed. When all are there they are joined into `OUT` and the folder is removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from mdbound.analysis.solving.provenance import provenance_of
from mdbound.analysis.solving.results import Provenance, merge_parts, open_results
from mdbound.analysis.solving.selection import Mask, Selection
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.solve_batch import solve_batch
from mdbound.errors import CacheError, InvalidDistributionError, InvalidSettingError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.cache import LogitsBatch, LogitsCache
from mdbound.logits_cache.store.manifest import MassRecord

#: Unsolved positions that a summary names: enough to look at, few enough for one line.
_FIRST_UNSOLVED = 5


@dataclass(frozen=True)
class SolveProgress:
    """How far a run is, in positions.

    Attributes:
        done: Solved, by earlier runs too.
        total: To be solved.
        new: Solved by this run.
    """

    done: int
    total: int
    new: int


ProgressCallback = Callable[[SolveProgress], None]


@dataclass(frozen=True)
class SolveSummary:
    """What a solve run left behind.

    Attributes:
        path: The results file.
        positions: Positions solved: of the capture, or of the selection.
        rows: Rows of the results file.
        unsolved: Rows whose acceptance is null because no error bound was met.
        resumed: Positions that an earlier run had solved.
        unsolved_positions: Positions of those rows.
        first_unsolved: The first few of these positions, as document and position.
        turns_left_out: Of a capture in the same run: later turns of conversations without room.
        masses_outside: Likewise: what target and drafts have on tokens that the other side lacks.
    """

    path: Path
    positions: int
    rows: int
    unsolved: int
    resumed: int
    unsolved_positions: int = 0
    first_unsolved: tuple[tuple[int, int], ...] = ()
    turns_left_out: int = 0
    masses_outside: tuple[MassRecord, ...] = ()


def solve_cache(
    cache: LogitsCache,
    settings: Sequence[SolveSetting],
    out: Path | str,
    *,
    selection: Selection | None = None,
    batch_rows: int = 64,
    command: str = "",
    on_progress: ProgressCallback | None = None,
) -> SolveSummary:
    """Solve every position of a capture at every setting.

    Memory is bounded by `batch_rows`, whatever the size of the capture. The positions of a
    batch are solved on all cores while one thread reads the next batch. Run again after an
    interruption, it goes on with the shards that are missing; run again when finished, it
    changes nothing.

    Args:
        cache: The capture.
        settings: What to solve for, at least one.
        out: The Parquet file to write; columns as in `results.RESULT_SCHEMA`.
        selection: Tasks and documents to solve; all of the capture when None.
        batch_rows: Positions held in memory at a time.
        command: Command line, kept in the file's metadata.
        on_progress: Called after each batch.

    Returns:
        Where the results are and how many there are.

    Raises:
        InvalidSettingError: `batch_rows` < 1, no setting, or `out` is a folder,
            or holds or resumes another run.
        CacheError: The capture is empty or damaged.
        InvalidDistributionError: Logits that no distribution can be made of, with the shard.
        OutputError: The disk is full or cannot be written; finished parts are kept.
    """
    out = Path(out)
    if batch_rows < 1:
        raise InvalidSettingError(f"`batch_rows` {batch_rows}: give at least 1")
    if not settings:
        raise InvalidSettingError("no setting to solve for; give at least one draft law")
    if out.is_dir():
        raise InvalidSettingError(f"`out` {out} is a folder; give a file name in it")
    if not cache.manifest.complete or cache.num_positions == 0:
        raise CacheError(
            f"{cache.path} is not a finished capture ({cache.num_positions} positions so far); "
            "run its `mdbound capture` command again to finish it"
        )
    selection = selection or Selection()
    masks = selection.masks(cache)
    provenance = provenance_of(cache, settings, selection, command)
    positions = sum(int(mask.sum()) for mask in masks.values())
    counter = _Counter(positions, on_progress)
    parts = Parts.beside(out)
    if out.exists():
        refuse_another_run(open_results(out).provenance, provenance, out)
        parts.remove()
        counter.skip(positions)
        return summarise(out, positions, resumed=positions)
    parts.start_or_resume(provenance)
    resumed = _solve_missing(cache, settings, masks, parts, batch_rows, counter)
    merge_parts([parts.path(shard) for shard in masks], out, provenance)
    parts.remove()
    return summarise(out, positions, resumed)


class _Counter:
    """Counts positions and reports them."""

    def __init__(self, total: int, on_progress: ProgressCallback | None) -> None:
        self._now = SolveProgress(0, total, 0)
        self._on_progress = on_progress

    def skip(self, positions: int) -> None:
        """Count positions that an earlier run solved."""
        self._report(replace(self._now, done=self._now.done + positions))

    def add(self, positions: int) -> None:
        """Count positions that this run solved."""
        now = self._now
        self._report(replace(now, done=now.done + positions, new=now.new + positions))

    def _report(self, now: SolveProgress) -> None:
        self._now = now
        if self._on_progress is not None:
            self._on_progress(now)


@dataclass(frozen=True)
class Parts:
    """The folder of finished parts of one run.

    Attributes:
        folder: Beside the results file; it also says what the run solves.
    """

    folder: Path

    @classmethod
    def beside(cls, out: Path) -> Parts:
        """The parts that are joined into the results file `out`."""
        return cls(out.with_name(f"{out.name}.parts"))

    def path(self, shard: int) -> Path:
        """The part of one shard of the capture."""
        return self.folder / f"part-{shard:05d}.parquet"

    def start_or_resume(self, provenance: Provenance) -> None:
        """Write what this run solves, or check that the parts found are of the same run."""
        run_file = self.folder / "run.json"
        if run_file.exists():
            try:
                found = Provenance.from_dict(json.loads(run_file.read_text(encoding="utf-8")))
            except (ValueError, TypeError, KeyError) as error:
                raise CacheError(
                    f"{run_file} is damaged ({error}); delete {self.folder} and solve again"
                ) from error
            refuse_another_run(found, provenance, self.folder)
            return
        with replacing(run_file) as temporary:
            temporary.write_text(json.dumps(asdict(provenance), indent=1), encoding="utf-8")

    def has(self, shard: int, rows: int) -> bool:
        """Whether the part is there, readable and of the right length."""
        if not self.path(shard).exists():
            return False
        try:
            return int(pq.ParquetFile(self.path(shard)).metadata.num_rows) == rows
        except (OSError, ValueError):  # pyarrow's ArrowInvalid is a ValueError
            return False

    def remove(self) -> None:
        """Delete the folder and what is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _solve_missing(
    cache: LogitsCache,
    settings: Sequence[SolveSetting],
    masks: Mapping[int, Mask],
    parts: Parts,
    batch_rows: int,
    counter: _Counter,
) -> int:
    """Solve the shards that have no part yet; return the positions that had one."""
    rows_per_position = sum(len(setting.num_drafts) for setting in settings)
    positions = {shard: int(mask.sum()) for shard, mask in masks.items()}
    missing = [
        shard
        for shard, count in positions.items()
        if not parts.has(shard, count * rows_per_position)
    ]
    resumed = sum(positions.values()) - sum(positions[shard] for shard in missing)
    counter.skip(resumed)
    models = list(dict.fromkeys(name for setting in settings for name in setting.drafts))
    for shard in missing:
        batches = cache.iter_batches(
            models=["target", *models], batch_rows=batch_rows, shards=[shard]
        )
        chosen = _chosen(batches, masks[shard])
        with replacing(parts.path(shard)) as temporary:
            _write_part(temporary, _read_ahead(chosen), settings, counter)
    return resumed


def _chosen(batches: Iterator[LogitsBatch], mask: Mask) -> Iterator[LogitsBatch]:
    """Cut the batches of one shard down to the positions that are marked."""
    for batch in batches:
        rows = mask[batch.row : batch.row + batch.positions.height]
        if rows.all():
            yield batch
        elif rows.any():
            logits = {name: values[rows] for name, values in batch.logits.items()}
            yield replace(batch, positions=batch.positions.filter(rows), logits=logits)


def _write_part(
    path: Path,
    batches: Iterator[LogitsBatch],
    settings: Sequence[SolveSetting],
    counter: _Counter,
) -> None:
    """Solve one shard's batches into a Parquet file, a row group per batch."""
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            table = _solve_or_name_shard(batch, settings).to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            counter.add(batch.positions.height)
    finally:
        if writer is not None:
            writer.close()


def _solve_or_name_shard(batch: LogitsBatch, settings: Sequence[SolveSetting]) -> pl.DataFrame:
    try:
        return solve_batch(batch.positions, batch.logits, settings)
    except InvalidDistributionError as error:
        raise InvalidDistributionError(
            f"shard {batch.shard}, batch starting at its row {batch.row}: {error}; "
            "capture that text again"
        ) from error


def _read_ahead(batches: Iterator[LogitsBatch]) -> Iterator[LogitsBatch]:
    """Yield batches while one thread reads the next, so that reading hides behind solving."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mdbound-read") as reader:
        ahead = reader.submit(next, batches, None)
        while (batch := ahead.result()) is not None:
            ahead = reader.submit(next, batches, None)
            yield batch


def refuse_another_run(found: Provenance, wanted: Provenance, place: Path) -> None:
    """Refuse to go on with, or to overwrite, what a run with other settings left.

    Raises:
        InvalidSettingError: Naming the place and the first difference.
    """
    difference = found.first_difference(wanted)
    if difference is not None:
        raise InvalidSettingError(
            f"{place} belongs to another run: {difference}; "
            "write to another file, or delete it to solve anew"
        )


def summarise(out: Path, positions: int, resumed: int) -> SolveSummary:
    """Count the rows of a finished results file, and find those without an acceptance."""
    results = open_results(out)
    rows = results.height()
    unsolved = (
        results.frame.filter(pl.col("acceptance").is_null()).select("doc_id", "position").collect()
    )
    where = unsolved.unique(maintain_order=True)
    return SolveSummary(
        out,
        positions,
        rows,
        unsolved.height,
        resumed,
        where.height,
        tuple(where.head(_FIRST_UNSOLVED).iter_rows()),
    )
