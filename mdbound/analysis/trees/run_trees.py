"""A capture of trees -> the file of what verifiers accept of them, resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import mdbound
from mdbound.analysis.solving.environment import environment
from mdbound.analysis.solving.provenance import capture_summary
from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.solving.solve_cache import Parts, SolveProgress, refuse_another_run
from mdbound.analysis.trees.captured_law import CapturedLaw, captured_laws
from mdbound.analysis.trees.contexts import contexts_of
from mdbound.analysis.trees.tree_grid import TreeGrid
from mdbound.analysis.trees.tree_results import TREES_SCHEMA, open_trees, write_trees
from mdbound.analysis.trees.tree_rows import Job, jobs_of, rows_of
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import ShardInfo

ProgressCallback = Callable[[SolveProgress], None]


@dataclass(frozen=True)
class TreesSummary:
    """What a run left behind.

    Attributes:
        path: The results file.
        rows: Its rows.
        contexts: Contexts with a tree.
    """

    path: Path
    rows: int
    contexts: int


def run_on_trees(
    cache: LogitsCache,
    grid: TreeGrid,
    out: Path | str,
    *,
    command: str = "",
    on_progress: ProgressCallback | None = None,
) -> TreesSummary:
    """What each verifier accepts of the trees of a capture.

    Memory holds one context. Run again after an interruption, it goes on with the shards that are
    missing; run again when finished, it changes nothing.

    Args:
        cache: The capture.
        grid: What to compute.
        out: The Parquet file to write.
        command: Command line, kept in the file's metadata.
        on_progress: Called after each context and draft.

    Raises:
        InvalidSettingError: The capture has no such trees, or `out` is of another run.
        CacheError: The capture is unfinished or damaged.
        InvalidDistributionError: Logits that no distribution can be made of.
        OutputError: The disk is full or cannot be written; finished parts are kept.
    """
    out = Path(out)
    cache.require_finished()
    laws = captured_laws(cache, grid.drafts, grid.mixed)
    work = [(law, jobs_of(grid, law)) for law in laws]
    provenance = Provenance(
        version=mdbound.__version__,
        capture_identity=cache.manifest.identity(),
        capture=capture_summary(cache),
        settings=[
            {**grid.as_dict(), **law.settings()} for law in laws
        ],
        command=command,
        environment=environment(),
    )  # fmt: skip
    if out.is_dir():
        raise InvalidSettingError(f"`out` {out} is a folder; give a file name in it")
    parts = Parts.beside(out)
    if out.exists():
        refuse_another_run(open_trees(out).provenance, provenance, out)
        parts.remove()
        return _summary(out)
    parts.start_or_resume(provenance)
    _run_missing(cache, work, parts, grid, on_progress)
    frames = (pl.read_parquet(parts.path(shard.index)) for shard in cache.shards)
    write_trees(frames, out, provenance)
    parts.remove()
    return _summary(out)


def _run_missing(
    cache: LogitsCache,
    work: Sequence[tuple[CapturedLaw, Sequence[Job]]],
    parts: Parts,
    grid: TreeGrid,
    on_progress: ProgressCallback | None,
) -> None:
    identity = cache.manifest.identity()

    def reported(doc_id: int) -> bool:
        return grid.offsets is None or grid.offsets.reports(identity, doc_id)

    counts = {
        shard.index: [
            sum(reported(each.doc_id) for each in cache.read_path_nodes(shard, law.drafts[0]))
            for law, _ in work
        ]
        for shard in cache.shards
    }
    total = sum(sum(each) for each in counts.values())
    missing = [
        shard
        for shard in cache.shards
        if not parts.has(shard.index, _rows(counts[shard.index], work))
    ]
    done = total - sum(sum(counts[shard.index]) for shard in missing)
    new = 0
    for shard in missing:
        tasks = _tasks(cache, shard)
        rows: list[dict[str, Any]] = []
        for law, jobs in work:
            for context in contexts_of(cache, law, shard):
                if not reported(context.doc_id):
                    continue
                rows += rows_of(context, jobs, law, tasks[context.doc_id], grid.seed)
                done, new = done + 1, new + 1
                if on_progress is not None:
                    on_progress(SolveProgress(done, total, new))
        with replacing(parts.path(shard.index)) as temporary:
            pl.DataFrame(rows, schema=dict(TREES_SCHEMA)).write_parquet(temporary)


def _rows(contexts: Sequence[int], work: Sequence[tuple[CapturedLaw, Sequence[Job]]]) -> int:
    return sum(count * len(jobs) for count, (_, jobs) in zip(contexts, work, strict=True))


def _tasks(cache: LogitsCache, shard: ShardInfo) -> dict[int, str]:
    places = cache.read_positions(shard).select("doc_id", "task").unique()
    return dict(places.rows())


def _summary(out: Path) -> TreesSummary:
    results = open_trees(out)
    contexts = (
        results.frame.select(pl.struct("doc_id", "position", "draft").n_unique()).collect().item()
    )
    return TreesSummary(out, results.height(), int(contexts))
