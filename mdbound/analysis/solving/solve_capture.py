"""Text -> results, with no logits in between: every position is solved as it is captured.

The values are those of `capture` followed by `solve_cache`: the same forward passes, cut into the
same shards and batches. What is finished is kept beside the results file, in `OUT.parts/`: a
manifest as in a logits cache, and a part file per shard with results in place of logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.provenance import provenance_of
from mdbound.analysis.solving.results import Provenance, merge_parts, open_results
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.setting_distributions import Logits
from mdbound.analysis.solving.solve_batch import solve_batch
from mdbound.analysis.solving.solve_cache import Parts, SolveSummary, refuse_another_run, summarise
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.capturing.capture import run_plan
from mdbound.logits_cache.capturing.mass_outside import MassOutside
from mdbound.logits_cache.capturing.on_device import stays_on_device
from mdbound.logits_cache.capturing.plan import CapturePlan, plan_capture
from mdbound.logits_cache.capturing.progress import ProgressCallback
from mdbound.logits_cache.capturing.score import score_together
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import FileRecord
from mdbound.logits_cache.store.shards import ShardWriter, check_logits, shard_path
from mdbound.logits_cache.text.passages import Passage

#: Folder of the part files inside `OUT.parts/`.
_RESULTS = "results"

#: Rows of results that wait for their part file: smaller groups spare memory, larger ones compress
#: better.
_ROW_GROUP_ROWS = 16_384


def solve_during_capture(
    capture: CaptureSettings,
    grid: SolveGrid,
    out: Path | str,
    *,
    batch_rows: int = 64,
    command: str = "",
    on_progress: ProgressCallback | None = None,
    on_device: bool | None = None,
) -> SolveSummary:
    """Run the models over a text and solve every position, without writing logits.

    Memory holds one forward pass per model and `batch_rows` positions. Run again after an
    interruption, it goes on after the last finished shard; run again when finished, it changes
    nothing.

    Args:
        capture: What to capture; its `out` is not used.
        grid: What to solve for.
        out: The Parquet file to write, as by `mdbound.analysis.solving.solve_cache.solve_cache`.
        batch_rows: Positions solved at a time.
        command: Command line, kept in the file's metadata.
        on_progress: Called after each batch of passages.
        on_device: Compute bounds as torch operations where the models' logits are, and bring only
            results to the host, and probabilities for the closed form of two drafts. None decides
            by the device, see `mdbound.logits_cache.capturing.on_device`.

    Raises:
        InvalidSettingError: A setting is out of range, `out` is a folder, or holds or resumes
            another run.
        ModelError, TextSourceError, InvalidDistributionError: As `capture`.
        CacheError: Another process is writing, or a finished part is damaged.
        OutputError: The disk is full; finished parts are kept.
    """
    out = Path(out)
    if batch_rows < 1:
        raise InvalidSettingError(f"`batch_rows` {batch_rows}: give at least 1")
    if out.is_dir():
        raise InvalidSettingError(f"`out` {out} is a folder; give a file name in it")
    if capture.paths is not None:
        raise InvalidSettingError(
            "`paths` are kept as logits, and solving while capturing keeps none: leave `paths` out,"
            " or capture into a cache and solve that"
        )
    parts = Parts.beside(out)
    plan = plan_capture(replace(capture, out=parts.folder))
    settings = grid.settings([draft.name for draft in plan.manifest.drafts])
    provenance = _provenance(plan, settings, parts, command)
    if out.exists():
        refuse_another_run(open_results(out).provenance, provenance, out)
        parts.remove()
        return _finished(out, settings)
    parts.start_or_resume(provenance)
    vocab_size = plan.manifest.vocab_size
    stays = stays_on_device(plan.models.device) if on_device is None else on_device
    summary = run_plan(
        plan,
        replace(capture, out=parts.folder),
        lambda index: SolvedShard(parts.folder, index, vocab_size, settings, batch_rows, stays),
        on_progress,
    )
    _join(parts, out, provenance)
    solved = summarise(out, summary.positions, summary.positions - summary.new_positions)
    return replace(
        solved,
        turns_left_out=summary.turns_left_out,
        masses_outside=summary.masses_outside,
    )


class SolvedShard(ShardWriter):
    """A shard that keeps the results of its positions, not their logits.

    Args:
        folder: Where the manifest is.
        index: Number of the shard.
        vocab_size: Logits per position, V.
        settings: What to solve for.
        batch_rows: Positions solved at a time.
        on_device: Leave logits on the models' device.
    """

    def __init__(
        self,
        folder: Path,
        index: int,
        vocab_size: int,
        settings: Sequence[SolveSetting],
        batch_rows: int,
        on_device: bool = False,
    ) -> None:
        super().__init__(folder, index, vocab_size)
        self._settings = settings
        self._on_device = on_device
        self._waiting = _Waiting(batch_rows, vocab_size)

    def record(
        self,
        models: Sequence[LanguageModel],
        passages: Sequence[Passage],
        outside: MassOutside,
    ) -> None:
        """Run the models on the passages and solve their positions.

        Raises:
            InvalidDistributionError: A row is NaN, infinite or masked throughout.
            OutputError: The disk refused the data.
        """
        for passage, logits in score_together(models, passages, on_device=self._on_device):
            for name, rows in logits.items():
                check_logits(name, passage.doc_ids, passage.positions, rows)
                outside.add(name, rows)
            taken = 0
            while taken < passage.rows:
                taken += self._waiting.take(passage, logits, taken)
                if self._waiting.full:
                    self._solve()
            self.rows += passage.rows
            self.documents += 1

    def finish(self) -> dict[str, FileRecord]:
        """Solve what is waiting, and publish the part file."""
        self._solve()
        return super().finish()

    def _solve(self) -> None:
        positions, logits = self._waiting.emptied()
        if positions.height:
            table = solve_batch(positions, logits, self._settings).to_arrow()
            self.write(_RESULTS, table, _ROW_GROUP_ROWS)


class _Waiting:
    """Positions to be solved together, copied so that no forward pass is kept alive by a few."""

    def __init__(self, capacity: int, vocab_size: int) -> None:
        self._shape = (capacity, vocab_size)
        self._logits: dict[str, Logits] = {}
        self._positions: list[pl.DataFrame] = []
        self._rows = 0

    @property
    def full(self) -> bool:
        """Whether no row more fits."""
        return self._rows == self._shape[0]

    def take(self, passage: Passage, logits: Mapping[str, Logits], start: int) -> int:
        """Copy rows of the passage, from `start` on, as far as they fit; return how many."""
        count = min(passage.rows - start, self._shape[0] - self._rows)
        for name, rows in logits.items():
            if name not in self._logits:
                self._logits[name] = _room_for(rows, self._shape)
            self._logits[name][self._rows : self._rows + count] = rows[start : start + count]
        columns: dict[str, Any] = {
            "doc_id": passage.doc_ids[start : start + count],
            "task": [passage.task] * count,
            "position": passage.positions[start : start + count],
        }
        self._positions.append(pl.DataFrame(columns))
        self._rows += count
        return count

    def emptied(self) -> tuple[pl.DataFrame, dict[str, Logits]]:
        """Positions and logits that were waiting; the logits are good until the next `take`."""
        positions = pl.concat(self._positions) if self._positions else pl.DataFrame()
        logits = {name: rows[: self._rows] for name, rows in self._logits.items()}
        self._positions, self._rows = [], 0
        return positions, logits


def _room_for(rows: Logits, shape: tuple[int, int]) -> Logits:
    """Of the kind of the rows: an array, or a tensor on their device."""
    return np.empty(shape, rows.dtype) if isinstance(rows, np.ndarray) else rows.new_empty(shape)


def _provenance(
    plan: CapturePlan, settings: Sequence[SolveSetting], parts: Parts, command: str
) -> Provenance:
    """The provenance that `solve_cache` would write for a cache of this plan."""
    return provenance_of(LogitsCache(parts.folder, plan.manifest), settings, Selection(), command)


def _join(parts: Parts, out: Path, provenance: Provenance) -> None:
    finished = LogitsCache.open(parts.folder)
    finished.verify()
    files = [shard_path(parts.folder, _RESULTS, shard.index) for shard in finished.shards]
    merge_parts(files, out, provenance)
    parts.remove()


def _finished(out: Path, settings: Sequence[SolveSetting]) -> SolveSummary:
    """Summary of a file that an earlier run finished."""
    summary = summarise(out, 0, 0)
    positions = summary.rows // sum(len(setting.num_drafts) for setting in settings)
    return replace(summary, positions=positions, resumed=positions)
