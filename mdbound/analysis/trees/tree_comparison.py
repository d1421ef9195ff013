"""Verifiers against one of them on the same trees: paired differences of accepted lengths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.files import rounded, write_table
from mdbound.analysis.tables.notes import interval_note, provenance_notes
from mdbound.analysis.tables.table import Table
from mdbound.analysis.trees.tree_results import LAW_COLUMNS, TREE_COLUMNS
from mdbound.analysis.trees.tree_tables import (
    BOUND_TITLES,
    TreeReport,
    expected_lengths_of,
    length_table,
    title_of,
)
from mdbound.errors import InvalidSettingError

#: What verifiers are compared with: the first that is there.
BASELINES = ("traversal", "block_first_path", "nss")


def compare_trees(
    results: Results,
    out: Path | str | None = None,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
) -> TreeReport:
    """Accepted length of every verifier less that of the first of `BASELINES` that there is.

    Args:
        results: From `open_trees`.
        out: Folder for `comparison` as CSV, LaTeX and Markdown; None writes nothing.
        bootstrap: How intervals are made: whole documents are resampled, trees are the same.
        command: Command line, noted under the table.

    Raises:
        InvalidSettingError: None of the baselines is there, or nothing beside it.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how = bootstrap or Bootstrap()
    rows = results.frame.filter(
        ~pl.col("sampled")
        & pl.col("accepted").is_not_null()
        & ~pl.col("verifier").is_in(list(BOUND_TITLES))
    ).collect()
    there = [name for name in BASELINES if (rows["verifier"] == name).any()]
    if not there or rows["verifier"].n_unique() < 2:
        raise InvalidSettingError(
            f"{results.path} holds no two verifiers to compare; give `verifiers` "
            f"{','.join(BASELINES[:2])} and others"
        )
    keys = ["doc_id", "position", "number", *TREE_COLUMNS, *LAW_COLUMNS]
    base = rows.filter(pl.col("verifier") == there[0]).select(
        *keys, pl.col("accepted").alias("base")
    )
    paired = rows.filter(pl.col("verifier") != there[0]).join(base, on=keys, nulls_equal=True)
    differences = paired.with_columns((pl.col("accepted") - pl.col("base")).alias("accepted"))
    means = rounded(expected_lengths_of(differences.lazy(), how))
    notes = [interval_note(how), *provenance_notes(results.provenance, command)]
    table = _as_differences(length_table(means, notes), there[0])
    files = [] if out is None else write_table(table, Path(out), "comparison", [results.path])
    return TreeReport(table, tuple(files))


def _as_differences(table: Table, baseline: str) -> Table:
    what = f"Accepted length of each verifier less that of {title_of(baseline)}, on the same trees."
    return replace(table, caption=what)
