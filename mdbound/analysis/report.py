"""Results -> the files that go into a paper: tables as CSV, LaTeX and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs

from mdbound.analysis.results import SETTING_COLUMNS, Results, open_results, replacing
from mdbound.analysis.statistics import ALL_TASKS, Bootstrap, task_means
from mdbound.analysis.table_formats import frame_to_csv, to_csv, to_latex, to_markdown
from mdbound.analysis.tables import Table, acceptance_table, table_notes


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        table: Mean acceptance with n across.
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

    `acceptance.csv`, `acceptance.tex` and `acceptance.md` hold mean acceptance per task with n
    across; `acceptance_long.csv` has a row per task, setting and n, with every mean.

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
    opened = open_results(results)
    means = _rounded(task_means(opened.frame, bootstrap=how))
    notes = table_notes(means, opened.provenance, how, command)
    table = acceptance_table(means, notes)
    long = means.join(
        _rounded(_other_means(opened)), on=["task", *SETTING_COLUMNS], how="left", nulls_equal=True
    )
    texts = {
        "acceptance.csv": to_csv(table),
        "acceptance.tex": to_latex(table),
        "acceptance.md": to_markdown(table),
        "acceptance_long.csv": frame_to_csv(long, (table.caption, *notes)),
    }
    files = []
    for name, text in texts.items():
        files.append(Path(out) / name)
        with replacing(files[-1]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return Report(table, tuple(files))


def _rounded(means: pl.DataFrame) -> pl.DataFrame:
    """Keep 12 digits: parallel sums differ in the last ones, and a report must not."""
    return means.with_columns(cs.float().round_sig_figs(12))


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
