"""A paper's numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mdbound.analysis.recipes.recipe import Ours, PublishedTable
from mdbound.analysis.solving.results import RESULT_SCHEMA
from mdbound.analysis.tables.table import Interval, Table
from mdbound.errors import InvalidSettingError

#: Columns of the means that hold the interval of another.
_INTERVALS = {"mean": ("low", "high"), "gap": ("gap_low", "gap_high")}


def published_table(published: PublishedTable, means: pl.DataFrame, notes: Sequence[str]) -> Table:
    """Set a paper's numbers beside ours.

    Args:
        published: The paper's.
        means: Ours, as `run_study.study_means` returns them, all tasks pooled first.
        notes: For under the table.

    Raises:
        InvalidSettingError: The means hold no number, or several, for a row.
    """
    pooled = means.filter(pl.col("task") == means["task"][0])
    if "accept" in pooled.columns:
        # The optimum accepts whenever its output is a draft.
        pooled = pooled.with_columns(pl.coalesce("accept", "mean").alias("accept"))
    rows = tuple(
        (row.labels, tuple(_cell(pooled, each) for each in row.ours)) for row in published.rows
    )
    return Table(
        caption=f"{published.caption}.",
        labels=published.labels,
        values=published.values,
        rows=rows,
        notes=tuple(notes),
        label="tab:published",
    )


def _cell(means: pl.DataFrame, ours: Ours) -> Interval:
    row = _row(means, ours.where)
    if ours.minus is not None:
        return Interval(row[ours.value] - _row(means, ours.minus)[ours.value])
    low, high = _INTERVALS.get(ours.value, (None, None))
    return Interval(row[ours.value], row[low] if low else None, row[high] if high else None)


def _row(means: pl.DataFrame, where: Mapping[str, Any]) -> dict[str, Any]:
    found = means.filter(
        pl.col(name).eq_missing(pl.lit(value, RESULT_SCHEMA[name])) for name, value in where.items()
    )
    if found.height != 1:
        raise InvalidSettingError(
            f"{found.height} means fit {dict(where)}, to stand beside a published number; run the "
            "recipe on a capture with one draft"
        )
    return found.row(0, named=True)
