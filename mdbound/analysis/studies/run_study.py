"""Run a study: solve what is missing, then write its results, means and tables."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.provenance import provenance_of
from mdbound.analysis.solving.results import (
    BOUND,
    SETTING_COLUMNS,
    Provenance,
    Results,
    open_results,
)
from mdbound.analysis.solving.selection import capture_tasks
from mdbound.analysis.solving.solve_cache import ProgressCallback, solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import task_means
from mdbound.analysis.studies.study import SCHEME_VALUES, VALUES, Study, TableSpec
from mdbound.analysis.studies.study_store import StudyStore
from mdbound.analysis.tables.comparison import compare_schemes, comparison_notes
from mdbound.analysis.tables.files import rounded, write_frame, write_table, write_text
from mdbound.analysis.tables.notes import table_notes
from mdbound.analysis.tables.table import Table, acceptance_table
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

_KEYS = ["task", *SETTING_COLUMNS]


@dataclass(frozen=True)
class StudyRun:
    """What a study left behind.

    Attributes:
        study: What was asked for.
        results: Tidy rows: one per position, setting and n; as `mdbound solve` writes them.
        means: One row per task, setting and n; see `study_means`.
        tables: The tables, in the study's order.
        files: Every file of the study but the pieces it keeps for the next run.
        settings: Settings of the study, schemes included.
        solved: Settings that this run had to solve, wholly or for some n or tasks.
    """

    study: Study
    results: Results
    means: pl.DataFrame
    tables: tuple[Table, ...]
    files: tuple[Path, ...]
    settings: int
    solved: int


def run_study(
    study: Study, *, command: str = "", on_progress: ProgressCallback | None = None
) -> StudyRun:
    """Solve what is missing and write everything; a second run changes no byte.

    `study.out` then holds `results.parquet` (every row), `means` (CSV and Parquet), each table as
    CSV, LaTeX and Markdown, `study.json`, and `solved/` with the pieces that a wider study starts
    from. An interrupted run goes on where it stopped.

    Args:
        study: What to do.
        command: Command line, kept with the results.
        on_progress: Called after each batch of positions; counts start anew with each piece.

    Returns:
        Results, means, tables and files.

    Raises:
        InvalidSettingError: A setting does not fit the capture, or a table would be empty.
        CacheError: The capture is missing, unfinished or damaged.
        OutputError: The disk is full or cannot be written; finished pieces are kept.
    """
    cache = LogitsCache.open(study.capture)
    settings = study.grid.settings(cache.draft_names)
    provenance = provenance_of(cache, settings, study.selection, command)
    store = StudyStore(
        study.out / "solved",
        provenance.version,
        provenance.capture_identity,
        study.selection.chosen(capture_tasks(cache)),
        study.selection.limit_per_task,
    )
    solved = 0
    for work in store.missing(settings):
        solved += len(work.settings)
        solve_cache(
            cache,
            work.settings,
            store.path_for(work),
            selection=store.selection_of(work),
            batch_rows=study.batch_rows,
            command=command,
            on_progress=on_progress,
        )
    path = study.out / "results.parquet"
    if not _holds(path, provenance):
        store.merge(settings, path, provenance)
    results = open_results(path)
    means = study_means(results.frame, study.bootstrap)
    tables = study_tables(study, means, results)
    files = _write(study, results, means, tables)
    return StudyRun(study, results, means, tables, files, len(settings), solved)


def study_means(results: pl.LazyFrame, bootstrap: Bootstrap) -> pl.DataFrame:
    """Average every setting per task and over all tasks; schemes are compared with their bounds.

    Args:
        results: Rows of a results file.
        bootstrap: How intervals are made.

    Returns:
        The columns of `task_means.task_means`, and those of `comparison.compare_schemes` (null in
        the rows of bounds) where there are schemes.

    Raises:
        CacheError: There are no rows.
    """
    means = task_means(results, bootstrap=bootstrap)
    if means["scheme"].unique().to_list() != [BOUND]:
        compared = compare_schemes(results, bootstrap)
        more = [name for name in compared.columns if name not in means.columns]
        # The rate of a scheme is the mean of its rows already.
        more = [name for name in more if not name.startswith(("rate", "document_rate"))]
        means = means.join(
            compared.select(*_KEYS, *more),
            on=_KEYS,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
    return rounded(means)


def study_tables(study: Study, means: pl.DataFrame, results: Results) -> tuple[Table, ...]:
    """Lay out the tables of a study.

    Args:
        study: Says which.
        means: From `study_means`.
        results: Where the means come from, for the notes.

    Raises:
        InvalidSettingError: A table's `where` leaves no rows, or it compares schemes of a study
            without any.
    """
    return tuple(_study_table(spec, study, means, results) for spec in study.all_tables)


def _study_table(spec: TableSpec, study: Study, means: pl.DataFrame, results: Results) -> Table:
    kept = means
    for name, values in spec.where.items():
        kept = kept.filter(pl.Series([value in values for value in kept[name]]))
    if spec.value in SCHEME_VALUES:
        kept = kept.filter(pl.col("scheme") != BOUND)
    if kept.is_empty():
        raise InvalidSettingError(
            f"table {spec.name!r} of {spec.value} would be empty: its where fits none of the "
            "results, or the study has no schemes"
        )
    default = VALUES[spec.value]
    measure = replace(
        default,
        what=spec.caption.rstrip(".") or default.what,
        label=spec.label or f"tab:{study.name}-{spec.name}",
        across=spec.across,
    )
    notes = table_notes(kept, results.provenance, study.bootstrap)
    if "estimated" in kept.columns and (kept["scheme"] != BOUND).any():
        notes = [*comparison_notes(kept.filter(pl.col("scheme") != BOUND)), *notes]
    return acceptance_table(kept, [f"Study {study.name}.", *notes], measure)


def _write(
    study: Study, results: Results, means: pl.DataFrame, tables: tuple[Table, ...]
) -> tuple[Path, ...]:
    how = study.bootstrap
    notes = [f"Study {study.name}.", *table_notes(means, results.provenance, how)]
    files = [results.path, *write_frame(means, study.out, "means", notes, [results.path])]
    for spec, table in zip(study.all_tables, tables, strict=True):
        files += write_table(table, study.out, spec.name, [results.path])
    described = json.dumps(study.as_dict(), indent=1, default=list)
    files.append(write_text(study.out / "study.json", f"{described}\n"))
    return tuple(files)


def _holds(path: Path, wanted: Provenance) -> bool:
    """Whether the file is there, readable, and of the same settings on the same capture."""
    if not path.is_file():
        return False
    try:
        return open_results(path).provenance.first_difference(wanted) is None
    except CacheError:
        return False
