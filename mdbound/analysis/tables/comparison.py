"""What verification schemes achieve of the bound of their draft law, position by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.results import BOUND, SETTING_COLUMNS, open_results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS, task_means
from mdbound.analysis.tables.files import rounded, write_frame, write_table
from mdbound.analysis.tables.notes import table_notes
from mdbound.analysis.tables.table import MEMBERSHIP, Measure, Table, acceptance_table
from mdbound.errors import CacheError

#: A scheme is optimal at a position where its exact rate is this close to the bound: far above the
#: error bounds of both, far below any gap that could matter.
OPTIMAL_WITHIN = 1e-9

_POSITION = ("doc_id", "task", "position")
_PROBLEM = tuple(name for name in SETTING_COLUMNS if name != "scheme")
_KEYS = ["task", *SETTING_COLUMNS]

#: Tables of a comparison: file name and what it shows.
MEASURES = {
    "rates": Measure(f"{MEMBERSHIP}; mean over positions", label="tab:rates"),
    "gaps": Measure(
        "Gap: bound of the draft law minus rate of the scheme; mean over positions",
        *("gap", "gap_low", "gap_high"),
        best="min",
        label="tab:gaps",
    ),
    "shares": Measure(
        "Share of the possible gain over one draft that a scheme realises: (scheme - one draft) / "
        "(bound - one draft), means over positions",
        *("share", "share_low", "share_high"),
        label="tab:shares",
    ),
    "optimal": Measure(
        f"Share of the positions where a scheme is within {OPTIMAL_WITHIN:g} of the bound, among "
        "those where its rate is exact",
        *("optimal", "optimal_low", "optimal_high"),
        label="tab:optimal",
    ),
}


@dataclass(frozen=True)
class Comparison:
    """What was found, and written.

    Attributes:
        means: A row per task, setting, scheme and n, as `compare_schemes` returns.
        tables: One per measure, in the order of `MEASURES`.
        files: Files written, none when no folder was given.
    """

    means: pl.DataFrame
    tables: tuple[Table, ...]
    files: tuple[Path, ...]


def compare(
    results: Path | str,
    out: Path | str | None = None,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
) -> Comparison:
    """Compare the schemes of a results file with the bounds of their draft laws.

    Args:
        results: A file written by `mdbound solve --schemes ...`.
        out: Folder for the tables (CSV, LaTeX, Markdown), and for `comparison` (CSV, Parquet)
            with every number; None writes nothing.
        bootstrap: How intervals are made; the default when None.
        command: Command line, noted under the tables.

    Returns:
        The numbers, the tables and the files.

    Raises:
        CacheError: The results are missing, damaged, or hold no scheme.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how = bootstrap or Bootstrap()
    opened = open_results(results)
    means = rounded(compare_schemes(opened.frame, how))
    rates = rounded(task_means(opened.frame, bootstrap=how))
    notes = [*comparison_notes(means), *table_notes(rates, opened.provenance, how, command)]
    tables = {
        name: acceptance_table(rates if name == "rates" else means, notes, measure)
        for name, measure in MEASURES.items()
    }
    files: list[Path] = []
    if out is not None:
        for name, table in tables.items():
            files += write_table(table, Path(out), name, [opened.path])
        files += write_frame(means, Path(out), "comparison", notes, [opened.path])
    return Comparison(means, tuple(tables.values()), tuple(files))


def compare_schemes(results: pl.LazyFrame, bootstrap: Bootstrap | None = None) -> pl.DataFrame:
    """Compare every scheme with its bound: per task and over all tasks, setting and n.

    Differences are taken position by position and resampled by document, so that their
    intervals are paired.

    Args:
        results: Rows of a results file, bounds and schemes.
        bootstrap: How intervals are made; the default when None.

    Returns:
        Keys, then `documents`, `positions`, `estimated` (positions whose rate is an estimate),
        `largest_standard_error`, and

        - `bound` and `single` (the optimum of one draft), `rate` of the scheme with interval,
          `document_rate` (mean of its means per document), `accept` (its accept event);
        - `gap` = bound - rate, and `share` = (rate - single) / (bound - single), with paired
          intervals; null where nothing can be gained, or n = 1 was not solved;
        - `optimal_positions` where the rate is exact and meets the bound, and their share
          `optimal` of the exact positions, with interval.

    Raises:
        CacheError: There is no scheme, or a scheme without the bound of its draft law.
    """
    how = bootstrap or Bootstrap()
    rows = paired_rows(results).collect()
    if rows.is_empty():
        raise CacheError(
            "the results hold no schemes to compare; solve again with `schemes` all and another "
            "`out`"
        )
    if rows["bound"].is_null().any() and not rows["has_bound"].all():
        raise CacheError("a scheme stands without the bound of its draft law; solve both together")
    compared = _mean(rows, "acceptance", "rate", how, document=True)
    for other in (
        _mean(rows, "gap", "gap", how),
        _mean(rows, "gain", "share", how, per="possible"),
        _mean(rows, "optimal", "optimal", how),
        _plain_columns(rows),
    ):
        compared = compared.join(
            other, on=_KEYS, how="left", nulls_equal=True, maintain_order="left"
        )
    nothing_to_gain = pl.col("bound") - pl.col("single") <= OPTIMAL_WITHIN
    shares = pl.col("share", "share_low", "share_high")
    return compared.with_columns(
        pl.when(nothing_to_gain | pl.col("single").is_null())
        .then(None)
        .otherwise(shares)
        .name.keep()
    ).select(_COLUMNS)


_COLUMNS = [
    *_KEYS,
    *("documents", "positions", "estimated", "largest_standard_error", "bound", "single"),
    *("rate", "rate_low", "rate_high", "document_rate", "document_rate_low", "document_rate_high"),
    *("accept", "gap", "gap_low", "gap_high", "share", "share_low", "share_high"),
    *("optimal_positions", "optimal", "optimal_low", "optimal_high"),
]


def paired_rows(results: pl.LazyFrame) -> pl.LazyFrame:
    """Put beside each scheme row the bound of its problem and the optimum of one draft.

    Args:
        results: Rows of a results file.

    Returns:
        Scheme rows with `bound`, `single` (null when n = 1 was not solved), `gap` = bound - rate,
        `gain` = rate - single, `possible` = bound - single, and `optimal`: 1 where an exact rate
        meets the bound, 0 where it does not, null where the rate is an estimate.
    """
    bounds = results.filter(pl.col("scheme") == BOUND)
    one_draft = [name for name in _PROBLEM if name != "num_drafts"]
    of_problem = bounds.select(
        *_POSITION, *_PROBLEM, pl.col("acceptance").alias("bound"), pl.lit(True).alias("has_bound")
    )
    singles = bounds.filter(pl.col("num_drafts") == 1).select(
        *_POSITION, *one_draft, pl.col("acceptance").alias("single")
    )
    gap = pl.col("bound") - pl.col("acceptance")
    return (
        results.filter(pl.col("scheme") != BOUND)
        .join(
            of_problem,
            on=[*_POSITION, *_PROBLEM],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .join(
            singles,
            on=[*_POSITION, *one_draft],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(
            pl.col("has_bound").fill_null(value=False),
            gap.alias("gap"),
            (pl.col("acceptance") - pl.col("single")).alias("gain"),
            (pl.col("bound") - pl.col("single")).alias("possible"),
            pl.when(pl.col("standard_error") == 0)
            .then((gap <= OPTIMAL_WITHIN).cast(pl.Float64))
            .alias("optimal"),
        )
    )


def comparison_notes(means: pl.DataFrame) -> list[str]:
    """What has to be said under a comparison: estimates, and a missing n = 1.

    Example:
        >>> comparison_notes(pl.DataFrame(
        ...     {"scheme": ["nss"], "estimated": [0], "largest_standard_error": [0.0],
        ...      "single": [None]}
        ... ))
        ['No share of the possible gain: n = 1 was not solved; solve it, too.']
    """
    notes = []
    estimated = means.filter(pl.col("estimated") > 0)
    if not estimated.is_empty():
        names = ", ".join(estimated["scheme"].unique(maintain_order=True))
        error = float(estimated["largest_standard_error"].to_numpy().max())
        notes.append(
            f"Estimated at some positions, with standard errors up to {error:.1g} at one position: "
            f"{names}. All other rates are exact."
        )
    if means["single"].null_count() == means.height:
        notes.append("No share of the possible gain: n = 1 was not solved; solve it, too.")
    return notes


def _mean(
    rows: pl.DataFrame,
    value: str,
    name: str,
    how: Bootstrap,
    *,
    per: str | None = None,
    document: bool = False,
) -> pl.DataFrame:
    """`task_means` under other names; `document` keeps counts and means per document too."""
    means = task_means(rows.lazy(), value, SETTING_COLUMNS, how, per)
    renamed: Sequence[pl.Expr] = [
        pl.col("mean").alias(name),
        pl.col("low").alias(f"{name}_low"),
        pl.col("high").alias(f"{name}_high"),
    ]
    if not document:
        return means.select(*_KEYS, *renamed)
    suffixes = {"document_mean": "", "document_low": "_low", "document_high": "_high"}
    per_document = [pl.col(old).alias(f"document_{name}{end}") for old, end in suffixes.items()]
    return means.select(*_KEYS, "documents", "positions", *renamed, *per_document)


def _plain_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Means and counts without intervals, per task and over all tasks."""
    values = [
        pl.col("bound", "single", "accept").mean(),
        pl.col("optimal").sum().cast(pl.Int64).alias("optimal_positions"),
        (pl.col("standard_error") > 0).sum().cast(pl.Int64).alias("estimated"),
        pl.col("standard_error").max().alias("largest_standard_error"),
    ]
    pooled = rows.with_columns(pl.lit(ALL_TASKS).alias("task"))
    return pl.concat(
        frame.group_by(_KEYS, maintain_order=True).agg(values) for frame in (rows, pooled)
    )
