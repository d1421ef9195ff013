"""Means over positions and over documents, with bootstrap intervals over documents.

Positions of one document are correlated, so the document is what is resampled.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.solving.results import SETTING_COLUMNS
from mdbound.errors import CacheError, InvalidSettingError

Floats = NDArray[np.float64]

#: Below this many documents a percentile interval is too narrow to be relied on.
FEW_DOCUMENTS = 20

#: `task` of the rows that pool every task.
ALL_TASKS = "all"

#: Document counts are drawn in batches of this many numbers, to bound memory.
_BATCH_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: percentile bootstrap over documents, `scipy.stats.bootstrap`.

    Attributes:
        resamples: Number of resamples of the documents.
        confidence: Two-sided level, in (0, 1).
        seed: Seed of the resampling; the same for every group, so that groups are paired.
    """

    resamples: int = 9999
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise InvalidSettingError(f"--resamples {self.resamples}: give at least 100")
        if not 0.0 < self.confidence < 1.0:
            raise InvalidSettingError(f"confidence {self.confidence}: give a level in (0, 1)")
        if self.seed < 0:
            raise InvalidSettingError(f"--seed {self.seed}: give an integer >= 0")


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


def document_notes(means: pl.DataFrame) -> list[str]:
    """Warnings that belong under a table of `task_means`: few documents, unsolved positions.

    Args:
        means: What `task_means` returned.

    Returns:
        Sentences, possibly none.
    """
    notes = []
    counts = means.group_by("task", maintain_order=True).agg(pl.col("documents").max())
    single = counts.filter(pl.col("documents") == 1)["task"].to_list()
    few = counts.filter(pl.col("documents").is_between(2, FEW_DOCUMENTS - 1))
    if single:
        notes.append(
            f"No interval for {', '.join(single)}: one document says nothing about others."
        )
    if not few.is_empty():
        shown = ", ".join(f"{row['task']} ({row['documents']})" for row in few.to_dicts())
        notes.append(
            f"Fewer than {FEW_DOCUMENTS} documents, so the intervals are too narrow to rely on: "
            f"{shown}."
        )
    unsolved = means.filter(pl.col("unsolved") > 0)
    if not unsolved.is_empty():
        notes.append(
            f"{unsolved['unsolved'].to_numpy().max()} positions of a setting met no error bound "
            f"and are left out of its mean ({unsolved.height} cells affected)."
        )
    return notes


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
    mean, low, high = _ratio_intervals(sums, below, counts > 0, how)
    document_mean, document_low, document_high = _ratio_intervals(
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


def _ratio_intervals(
    numerator: Floats, denominator: Floats, has_document: NDArray[np.bool_], how: Bootstrap
) -> tuple[Floats, Floats, Floats]:
    """Ratio of sums over documents with its interval; (G, D) arrays to three (G,) arrays.

    Both means are such ratios: sum of values over number of positions, and sum of document
    means over number of documents. NaN where there is no document, or no interval.
    """
    ratio = _divided(numerator.sum(axis=1), denominator.sum(axis=1))
    low, high = np.full_like(ratio, np.nan), np.full_like(ratio, np.nan)
    # Only the documents that a group has are resampled.
    patterns, pattern_of = np.unique(has_document, axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        if pattern.sum() >= 2:
            rows = pattern_of.ravel() == index
            at = np.ix_(rows, pattern)
            low[rows], high[rows] = _resampled_interval(numerator[at], denominator[at], how)
    return ratio, low, high


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    quotient = np.full_like(denominator, np.nan)
    return np.divide(numerator, denominator, out=quotient, where=denominator > 0)


def _resampled_interval(
    numerator: Floats, denominator: Floats, how: Bootstrap
) -> tuple[Floats, Floats]:
    from scipy.stats import DegenerateDataWarning, bootstrap

    groups, documents = numerator.shape

    def ratio(drawn: NDArray[np.int64], axis: int) -> Floats:  # noqa: ARG001  (scipy passes it)
        # How often each document was drawn, so that all groups share one matrix product.
        rows = np.arange(len(drawn))[:, None] * documents
        times = np.bincount((rows + drawn).ravel(), minlength=len(drawn) * documents)
        times = times.reshape(len(drawn), documents).astype(np.float64)
        return _divided(numerator @ times.T, denominator @ times.T)

    with warnings.catch_warnings():
        # A group with too little below the line has resamples without a ratio: no interval then.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        interval = bootstrap(
            (np.arange(documents),),
            ratio,
            vectorized=True,
            n_resamples=how.resamples,
            batch=max(1, _BATCH_NUMBERS // max(documents, groups)),
            confidence_level=how.confidence,
            method="percentile",
            rng=np.random.default_rng(how.seed),
        ).confidence_interval
    return interval.low, interval.high
