"""Captures and files of log-probabilities -> the file of tokens per call, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

import mdbound
from mdbound.analysis.paths.capture_logprobs import batch_logprobs
from mdbound.analysis.paths.captured_texts import texts_of
from mdbound.analysis.paths.logprobs_file import fingerprint, read_logprobs
from mdbound.analysis.paths.path_results import open_paths, write_paths
from mdbound.analysis.paths.path_setting import (
    SAMPLED,
    PathGrid,
    PathSetting,
    check_lengths,
    check_schemes,
)
from mdbound.analysis.paths.tallies import TextCounts, tally_rows
from mdbound.analysis.paths.texts import ScoredText
from mdbound.analysis.paths.tokens_before import TokensBefore
from mdbound.analysis.solving.environment import environment
from mdbound.analysis.solving.provenance import capture_summary
from mdbound.analysis.solving.results import Provenance
from mdbound.analysis.solving.solve_cache import Parts, SolveProgress, refuse_another_run
from mdbound.bounds import Warpers
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.cache import LogitsBatch, LogitsCache
from mdbound.logits_cache.store.manifest import ShardInfo

ProgressCallback = Callable[[SolveProgress], None]

#: What the text of a run is of, as its provenance says it.
OF_TARGET, GIVEN = "text of the target", "text that was given"


@dataclass(frozen=True)
class PathsSummary:
    """What a run left behind.

    Attributes:
        path: The results file.
        rows: Its rows.
        counts: What was met in the texts; None where an earlier run had finished.
        law: `OF_TARGET`, if the target wrote the text, or `GIVEN`.
    """

    path: Path
    rows: int
    counts: TextCounts | None
    law: str


def run_on_capture(
    cache: LogitsCache,
    grid: PathGrid,
    out: Path | str,
    *,
    batch_rows: int = 64,
    command: str = "",
    on_progress: ProgressCallback | None = None,
) -> PathsSummary:
    """Tokens per call of the texts of a capture.

    Reads the logits once, whatever the number of settings. Run again after an interruption, it
    goes on with the shards that are missing; run again when finished, it changes nothing.

    Args:
        cache: The capture.
        grid: What to compute.
        out: The Parquet file to write.
        batch_rows: Positions held in memory at a time.
        command: Command line, kept in the file's metadata.
        on_progress: Called after each batch.

    Raises:
        InvalidSettingError: A setting that the capture has no text for, or `out` is of another run.
        CacheError: The capture is unfinished, damaged or of arrays.
        InvalidDistributionError: Text that the target cannot have written at these laws, or that
            is too far from them to be weighted.
        OutputError: The disk is full or cannot be written; finished parts are kept.
    """
    settings = settings_of(cache, grid)
    return run_on_settings(
        cache,
        grid,
        settings,
        out,
        batch_rows=batch_rows,
        command=command,
        on_progress=on_progress,
    )


def run_on_settings(
    cache: LogitsCache,
    grid: PathGrid,
    settings: Sequence[PathSetting],
    out: Path | str,
    *,
    batch_rows: int = 64,
    command: str = "",
    on_progress: ProgressCallback | None = None,
) -> PathsSummary:
    """`run_on_capture` for some of the settings of the grid, with all its rules and lengths.

    Args:
        cache: The capture.
        grid: Rules, draft lengths and last level.
        settings: Some of `settings_of`.
        out: As the rest, as of `run_on_capture`.
        batch_rows: Positions held in memory at a time.
        command: Command line.
        on_progress: Called after each batch.

    Raises:
        InvalidSettingError: `out` is of another run.
        CacheError: The capture is damaged or of arrays without tokens.
        InvalidDistributionError: As `run_on_capture`.
        OutputError: As `run_on_capture`.
    """
    out = Path(out)
    if batch_rows < 1:
        raise InvalidSettingError(f"`batch_rows` {batch_rows}: give at least 1")
    provenance = paths_provenance(cache, grid, settings, command)
    law = provenance.capture["law"]
    parts = Parts.beside(out)
    if _is_finished(out, provenance):
        parts.remove()
        return PathsSummary(out, open_paths(out).height(), None, law)
    parts.start_or_resume(provenance)
    _score_missing(cache, settings, grid, parts, batch_rows, on_progress)
    scored = (pl.read_parquet(parts.path(shard.index)) for shard in cache.shards)
    counts = TextCounts()
    wanted = _reported(cache, grid)
    texts = texts_of(cache, scored, settings, grid.tree_rules(), grid.exact_rules, wanted)
    rows = write_paths(_rows(texts, grid.path_rules, grid.lengths, counts), out, provenance)
    parts.remove()
    return PathsSummary(out, rows, counts, law)


def _reported(cache: LogitsCache, grid: PathGrid) -> set[int] | None:
    """Documents that offsets were not chosen on; None for all."""
    if grid.offsets is None:
        return None
    identity = cache.manifest.identity()
    documents = {
        doc for shard in cache.shards for doc in cache.read_positions(shard)["doc_id"].unique()
    }
    return {doc for doc in documents if grid.offsets.reports(identity, doc)}


def settings_of(cache: LogitsCache, grid: PathGrid) -> tuple[PathSetting, ...]:
    """Settings of a grid on a capture.

    Raises:
        CacheError: The capture is unfinished.
        InvalidSettingError: A setting that the capture has no text for.
    """
    cache.require_finished()
    return grid.settings(cache.draft_names, law_of_text(cache))


def paths_provenance(
    cache: LogitsCache, grid: PathGrid, settings: Sequence[PathSetting], command: str
) -> Provenance:
    """What the metadata of results of a capture says."""
    law = GIVEN if law_of_text(cache) is None else OF_TARGET
    return Provenance(
        version=mdbound.__version__,
        capture_identity=cache.manifest.identity(),
        capture={**capture_summary(cache), "law": law},
        settings=[recorded_setting(setting, grid) for setting in settings],
        command=command,
        environment=environment(),
    )


def law_of_text(cache: LogitsCache) -> Warpers | None:
    """What the texts of a capture were sampled with; None for text that was given."""
    recorded = cache.manifest.generation.warpers
    return None if recorded is None else Warpers.from_dict(recorded)


def run_on_logprobs(
    source: Path | str,
    out: Path | str,
    *,
    schemes: Sequence[str],
    lengths: Sequence[int],
    command: str = "",
) -> PathsSummary:
    """Tokens per call of texts whose log-probabilities a server gave; see `read_logprobs`.

    Raises:
        TextSourceError: The file is no such file.
        InvalidSettingError: A scheme or length, or `out` is of another run.
        InvalidDistributionError: Values that are no log-probabilities, with document and position.
        OutputError: The disk is full or cannot be written.
    """
    source, out = Path(source), Path(out)
    check_schemes(schemes)
    check_lengths(lengths)
    values = {
        "schemes": list(schemes),
        "lengths": list(lengths),
        "warpers": Warpers().as_dict(),
        "last_level": SAMPLED,
    }
    provenance = Provenance(
        version=mdbound.__version__,
        capture_identity=fingerprint(source),
        capture={"log-probabilities": source.name, "law": "as the log-probabilities were taken"},
        settings=[values],
        command=command,
        environment=environment(),
    )
    if _is_finished(out, provenance):
        return PathsSummary(out, open_paths(out).height(), None, OF_TARGET)
    counts = TextCounts()
    rows = write_paths(_rows(read_logprobs(source), schemes, lengths, counts), out, provenance)
    return PathsSummary(out, rows, counts, OF_TARGET)


def recorded_setting(setting: PathSetting, grid: PathGrid) -> dict[str, object]:
    """A setting with what is computed for it, as provenance has it."""
    return {
        **setting.as_dict(),
        "schemes": list(grid.schemes),
        "lengths": list(grid.lengths),
        "nodes": [rule.columns() for rule in grid.tree_rules()],
        "last_level": grid.last_level,
        **({} if grid.offsets is None else {"offsets": grid.offsets.as_dict()}),
    }


def _is_finished(out: Path, provenance: Provenance) -> bool:
    if out.is_dir():
        raise InvalidSettingError(f"`out` {out} is a folder; give a file name in it")
    if not out.exists():
        return False
    refuse_another_run(open_paths(out).provenance, provenance, out)
    return True


def _rows(
    texts: Iterable[ScoredText], schemes: Sequence[str], lengths: Sequence[int], counts: TextCounts
) -> Iterator[pl.DataFrame]:
    """Frames of the results; foreign text is refused before the last one is written."""
    for text in texts:
        yield tally_rows(text, schemes, lengths, counts)
    counts.refuse_foreign_text()
    counts.refuse_few_in_effect()
    if counts.texts == 0:
        raise InvalidSettingError(
            f"no text of 2 tokens or more among {counts.short}; capture longer answers"
        )


def _score_missing(
    cache: LogitsCache,
    settings: Sequence[PathSetting],
    grid: PathGrid,
    parts: Parts,
    batch_rows: int,
    on_progress: ProgressCallback | None,
) -> None:
    rules, exact = grid.tree_rules(), grid.exact_rules
    before = TokensBefore(max(grid.lengths) - 1, len(settings)) if exact else None
    missing = [shard for shard in cache.shards if not parts.has(shard.index, shard.rows)]
    done = cache.num_positions - sum(shard.rows for shard in missing)
    new = 0
    for shard in cache.shards:
        if shard not in missing:
            if before is not None:
                before.skip(pl.read_parquet(parts.path(shard.index)))
            continue
        frames = []
        for batch in _batches(cache, settings, shard, batch_rows):
            frames.append(batch_logprobs(batch, settings, rules, exact, before))
            done, new = done + frames[-1].height, new + frames[-1].height
            if on_progress is not None:
                on_progress(SolveProgress(done, cache.num_positions, new))
        with replacing(parts.path(shard.index)) as temporary:
            pl.concat(frames).write_parquet(temporary)


def _batches(
    cache: LogitsCache, settings: Sequence[PathSetting], shard: ShardInfo, batch_rows: int
) -> Iterator[LogitsBatch]:
    models = ["target", *dict.fromkeys(setting.draft for setting in settings)]
    return cache.iter_batches(models, batch_rows=batch_rows, shards=[shard.index])
