"""Run a study of tokens per call: compute what is missing, then write results, means, tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_tables import (
    PATH_VALUES,
    has_calls,
    path_notes,
    path_table,
)
from mdbound.analysis.paths.run_paths import paths_provenance, run_on_settings, settings_of
from mdbound.analysis.solving.results import Provenance, Results
from mdbound.analysis.solving.solve_cache import ProgressCallback
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.studies.path_study import PathStudy, PathTableSpec
from mdbound.analysis.studies.path_study_store import PathStudyStore
from mdbound.analysis.tables.files import rounded, write_frame, write_table, write_text
from mdbound.analysis.tables.table import Table
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache


@dataclass(frozen=True)
class PathStudyRun:
    """What a study of tokens per call left behind.

    Attributes:
        study: What was asked for.
        results: Rows as `mdbound paths` writes them.
        tables: The tables, in the study's order.
        files: Every file of the study but the pieces it keeps for the next run.
        settings: Drafts, targets and draft temperatures of the study.
        solved: Of these, what this run had to compute.
    """

    study: PathStudy
    results: Results
    tables: tuple[Table, ...]
    files: tuple[Path, ...]
    settings: int
    solved: int


def run_path_study(
    study: PathStudy, *, command: str = "", on_progress: ProgressCallback | None = None
) -> PathStudyRun:
    """Compute what is missing and write everything; a second run changes no byte.

    `study.out` then holds `paths.parquet` (every row), the means behind each kind of table (CSV
    and Parquet), each table as CSV, LaTeX and Markdown, `study.json`, and `paths/` with the pieces
    that a wider study starts from. An interrupted run goes on where it stopped.

    Args:
        study: What to do.
        command: Command line, kept with the results.
        on_progress: Called after each batch of positions.

    Raises:
        InvalidSettingError: A setting does not fit the capture, or a table would be empty.
        InvalidDistributionError: Text that the target cannot have written, or that is too far from
            a setting to be weighted.
        CacheError: The capture is missing, unfinished or damaged.
        OutputError: The disk is full or cannot be written; finished pieces are kept.
    """
    cache = LogitsCache.open(study.capture)
    settings = settings_of(cache, study.grid)
    provenance = paths_provenance(cache, study.grid, settings, command)
    store = PathStudyStore(
        study.out / "paths", provenance.version, provenance.capture_identity, study.grid
    )
    missing = store.missing(settings)
    if missing:
        run_on_settings(
            cache,
            study.grid,
            missing,
            store.path_for(missing),
            batch_rows=study.batch_rows,
            command=command,
            on_progress=on_progress,
        )
    path = study.out / "paths.parquet"
    if not _holds(path, provenance):
        store.merge(settings, path, provenance)
    results = open_paths(path)
    return _written(study, results, len(settings), len(missing))


def _written(study: PathStudy, results: Results, settings: int, solved: int) -> PathStudyRun:
    specs = study.tables or _default_tables(results)
    used = dict.fromkeys(PATH_VALUES[spec.value].means for spec in specs)
    means = {of: rounded(of(results, study.bootstrap)) for of in used}
    notes = [f"Study {study.name}.", *path_notes(results, study.bootstrap)]
    tables = tuple(
        _table(spec, study, means[PATH_VALUES[spec.value].means], notes) for spec in specs
    )
    files = [results.path]
    for spec, table in zip(specs, tables, strict=True):
        files += write_table(table, study.out, spec.name, [results.path])
    for of, frame in means.items():
        name = next(one.file for one in PATH_VALUES.values() if one.means is of)
        files += write_frame(frame, study.out, name, notes, [results.path])
    described = json.dumps(study.as_dict(), indent=1, default=list)
    files.append(write_text(study.out / "study.json", f"{described}\n"))
    return PathStudyRun(study, results, tables, tuple(files), settings, solved)


def _default_tables(results: Results) -> tuple[PathTableSpec, ...]:
    calls = has_calls(results)
    return tuple(
        PathTableSpec(name, name) for name, value in PATH_VALUES.items() if calls or not value.calls
    )


def _table(spec: PathTableSpec, study: PathStudy, means: pl.DataFrame, notes: list[str]) -> Table:
    kept = means
    for name, values in spec.where.items():
        kept = kept.filter(pl.Series([value in values for value in kept[name]]))
    if kept.is_empty():
        raise InvalidSettingError(
            f"table {spec.name!r} of {spec.value} would be empty: its where fits none of the "
            f"results; tasks are {', '.join([ALL_TASKS, *means['task'].unique().sort()])}"
        )
    value = PATH_VALUES[spec.value]
    return path_table(
        kept,
        spec.caption.rstrip(".") or value.what,
        notes,
        value.prefix,
        across=spec.across,
        label=spec.label or f"tab:{study.name}-{spec.name}",
    )


def _holds(path: Path, wanted: Provenance) -> bool:
    """Whether the file is there, readable, and of the same settings on the same capture."""
    if not path.is_file():
        return False
    try:
        return open_paths(path).provenance.first_difference(wanted) is None
    except CacheError:
        return False
