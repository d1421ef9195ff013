"""Results -> the files that go into a paper: tables as CSV, LaTeX and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.results import BOUND, SETTING_COLUMNS, Results, open_results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS, task_means
from mdbound.analysis.tables.files import rounded, write_frame, write_table
from mdbound.analysis.tables.notes import table_notes
from mdbound.analysis.tables.table import BOUND_ONLY, MEMBERSHIP, Measure, Table, acceptance_table


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        table: Mean acceptance over positions with n across.
        files: The files, in the order written.
    """

    table: Table
    files: tuple[Path, ...]


def write_report(
    results: Path | str,
    out: Path | str,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
) -> Report:
    """Write the tables of a results file.

    `acceptance` (CSV, LaTeX, Markdown, and JSON for where it comes from) holds mean acceptance per
    task with n across: the pooled mean over positions. `acceptance_by_document` averages the means
    per document, in which every document weighs the same. `acceptance_long` (CSV and Parquet) has
    a row per task, setting and n, with every mean.

    Args:
        results: A file written by `mdbound solve`.
        out: Folder to write to; made when missing.
        bootstrap: How intervals are made; the default when None.
        command: Command line, noted under the tables.

    Returns:
        The table and the files.

    Raises:
        CacheError: The results are missing, damaged or empty.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how = bootstrap or Bootstrap()
    out = Path(out)
    opened = open_results(results)
    means = rounded(task_means(opened.frame, bootstrap=how))
    notes = table_notes(means, opened.provenance, how, command)
    table = acceptance_table(means, notes)
    by_document = acceptance_table(means, notes, _document_measure(means))
    long = means.join(
        rounded(_other_means(opened)),
        on=["task", *SETTING_COLUMNS],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    made_of = [opened.path]
    files = [
        *write_table(table, out, "acceptance", made_of),
        *write_table(by_document, out, "acceptance_by_document", made_of),
        *write_frame(long, out, "acceptance_long", (table.caption, *notes), made_of),
    ]
    return Report(table, tuple(files))


def _document_measure(means: pl.DataFrame) -> Measure:
    what = BOUND_ONLY if means["scheme"].unique().to_list() == [BOUND] else MEMBERSHIP
    columns = ("document_mean", "document_low", "document_high")
    return Measure(f"{what}; mean of the means per document", *columns)


def _other_means(results: Results) -> pl.DataFrame:
    """Means of the remaining columns per task and setting, and over all tasks."""
    values = [
        *(
            pl.col(name).mean().alias(f"mean_{name}")
            for name in ("subset_size", "target_mass", "draft_mass", "containment")
        ),
        pl.col("error_bound").max().alias("largest_error_bound"),
        pl.col("two_draft_acceptance").mean().alias("mean_two_draft_acceptance"),
        pl.col("equals_one").mean().alias("equals_one_share"),
        pl.col("target_entropy").mean().alias("mean_target_entropy"),
    ]
    per_task = results.frame.group_by("task", *SETTING_COLUMNS).agg(values)
    pooled = (
        results.frame.with_columns(pl.lit(ALL_TASKS).alias("task"))
        .group_by("task", *SETTING_COLUMNS)
        .agg(values)
    )
    return pl.concat([per_task, pooled]).collect()
