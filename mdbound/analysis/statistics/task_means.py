"""Means over positions and over documents, per task and over all tasks, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mdbound.analysis.solving.results import SETTING_COLUMNS
from mdbound.analysis.statistics.bootstrap import Bootstrap, Floats, ratio_intervals
from mdbound.errors import CacheError

#: `task` of the rows that pool every task.
ALL_TASKS = "all"


def task_means(
    results: pl.LazyFrame,
    value: str = "acceptance",
    by: Sequence[str] = SETTING_COLUMNS,
    bootstrap: Bootstrap | None = None,
    per: str | None = None,
) -> pl.DataFrame:
    """Average a column per task, and over all tasks, with intervals over documents.

    Args:
        results: Rows of a results file.
        value: Column to average; null rows are counted as unsolved and left out.
        by: Columns that name a group within a task.
        bootstrap: How intervals are made; the default when None.
        per: Column whose sum the sum of `value` is divided by, for a ratio of two quantities;
            the number of positions when None.

    Returns:
        One row per task (`"all"` first, if there are several) and group, with `task`, the group's
        columns, and

        - `documents`, `positions` that were averaged, `unsolved` positions that were not;
        - `mean` over positions, with `low` and `high`;
        - `document_mean`: mean of per-document means, with `document_low` and `document_high`.

        Intervals are null for a single document, ratios where nothing stands below the line.

    Raises:
        CacheError: There are no rows.

    Example:
        >>> rows = pl.LazyFrame({
        ...     "task": ["qa"] * 3, "doc_id": ["a", "a", "b"],
        ...     "n": 1, "acceptance": [0.5, 0.7, 0.9],
        ... })
        >>> means = task_means(rows, by=["n"])
        >>> means.select("task", "documents", "positions", "document_mean").row(0)
        ('qa', 2, 3, 0.75)
    """
    per_document = (
        results.group_by("task", *by, "doc_id", maintain_order=True)
        .agg(
            pl.col(value).sum().alias("sum"),
            pl.col(value).count().alias("count"),
            (pl.col(value).count() if per is None else pl.col(per).sum())
            .cast(pl.Float64)
            .alias("per"),
            pl.col(value).null_count().alias("unsolved"),
        )
        .collect()
    )
    if per_document.is_empty():
        raise CacheError("the results hold no rows; solve the capture again")
    tasks = per_document.partition_by("task", maintain_order=True)
    pooled = per_document.with_columns(
        pl.lit(ALL_TASKS).alias("task"),
        # Two tasks may number their documents alike.
        pl.concat_str("task", "doc_id", separator="/").alias("doc_id"),
    )
    groups = [pooled, *tasks] if len(tasks) > 1 else tasks
    return pl.concat(_means_of_task(group, by, bootstrap or Bootstrap()) for group in groups)


def _means_of_task(per_document: pl.DataFrame, by: Sequence[str], how: Bootstrap) -> pl.DataFrame:
    """Means and intervals of one task; the groups share their resampled documents."""
    groups = per_document.select(*by).unique(maintain_order=True).with_row_index("group")
    documents = per_document.select("doc_id").unique(maintain_order=True).with_row_index("document")
    indexed = per_document.join(groups, on=list(by), how="left", nulls_equal=True).join(
        documents, on="doc_id", how="left"
    )
    sums, counts, below, unsolved = (
        _document_table(indexed, name, groups.height, documents.height)
        for name in ("sum", "count", "per", "unsolved")
    )
    present = (counts > 0).astype(np.float64)
    document_means = np.divide(sums, below, out=np.zeros_like(sums), where=below > 0)
    mean, low, high = ratio_intervals(sums, below, counts > 0, how)
    document_mean, document_low, document_high = ratio_intervals(
        document_means, (below > 0).astype(np.float64), below > 0, how
    )
    return groups.drop("group").select(
        pl.lit(per_document["task"][0]).alias("task"),
        pl.all(),
        pl.Series("documents", present.sum(axis=1).astype(np.int64)),
        pl.Series("positions", counts.sum(axis=1).astype(np.int64)),
        pl.Series("unsolved", unsolved.sum(axis=1).astype(np.int64)),
        pl.Series("mean", mean, nan_to_null=True),
        pl.Series("low", low, nan_to_null=True),
        pl.Series("high", high, nan_to_null=True),
        pl.Series("document_mean", document_mean, nan_to_null=True),
        pl.Series("document_low", document_low, nan_to_null=True),
        pl.Series("document_high", document_high, nan_to_null=True),
    )


def _document_table(indexed: pl.DataFrame, column: str, groups: int, documents: int) -> Floats:
    """Spread a column over groups and documents, 0 where a group lacks a document: (G, D)."""
    table = np.zeros((groups, documents))
    at = indexed["group"].to_numpy(), indexed["document"].to_numpy()
    np.add.at(table, at, indexed[column].to_numpy())
    return table
