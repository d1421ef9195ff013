"""Expected lengths of verifiers on captured trees, with intervals over documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from mdbound import trees
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import FEW_DOCUMENTS, Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS, task_means
from mdbound.analysis.tables.files import rounded, write_frame, write_table
from mdbound.analysis.tables.notes import document_notes, interval_note, provenance_notes
from mdbound.analysis.tables.table import LABEL_NAMES, Interval, Row, Table, shown
from mdbound.analysis.trees.bracket import CrossedDepthBound, crossed_depth_bound
from mdbound.analysis.trees.tree_grid import DEPTH_BOUND
from mdbound.analysis.trees.tree_results import LAW_COLUMNS, TREE_COLUMNS
from mdbound.errors import InvalidSettingError

#: What tells rows of a table apart, besides the task.
GROUP = (*TREE_COLUMNS, *LAW_COLUMNS, "verifier")

#: What columns are called in tables.
NAMES = {**LABEL_NAMES, "draft_temperature": "draft temperature"}

#: Titles of the rows of bounds, that by depth first.
BOUND_TITLES: Mapping[str, str] = MappingProxyType(
    {
        DEPTH_BOUND: "no verifier above (bound by depth)",
        "depth_bound_largest_sum": "bound by depth, largest sum",
        "depth_bound_text": "bound by depth, from text",
        "path_bound_psi": "path bound, psi form",
        "path_bound_gate": "path bound, gate form",
        "path_bound": "no verifier above (path bound)",
    }
)


@dataclass(frozen=True)
class TreeReport:
    """What was written.

    Attributes:
        table: Expected lengths.
        files: The files, in the order written.
    """

    table: Table
    files: tuple[Path, ...]


def expected_lengths(results: Results, bootstrap: Bootstrap | None = None) -> pl.DataFrame:
    """Mean over contexts of what each verifier accepts, coins summed over; and the bound.

    Args:
        results: From `open_trees`.
        bootstrap: How intervals are made.

    Returns:
        As `task_means`, one row per task, tree, laws and verifier, with `standard_error` over
        documents; the bound by depth has on each half of the documents the thresholds that are
        least on the other.
    """
    how = bootstrap or Bootstrap()
    rows = results.frame.filter(~pl.col("sampled") & pl.col("accepted").is_not_null())
    means = [expected_lengths_of(rows, how)]
    bound = crossed_depth_bound(results)
    if bound is not None:
        means.append(expected_lengths_of(bound.rows.lazy(), how))
    return pl.concat(means)


def sampled_lengths(results: Results) -> pl.DataFrame:
    """Runs with coins beside the sums over coins, of the same trees, with the standard error.

    Returns:
        Columns of the group, `contexts`, `sampled`, `expected`, the mean of their differences over
        documents in `difference`, and its `standard_error`, clustered by document.
    """
    keys = ["doc_id", "position", "number", *GROUP]
    runs = results.frame.filter("sampled").select(*keys, pl.col("accepted").alias("run"))
    sums = results.frame.filter(~pl.col("sampled")).select(*keys, "accepted")
    both = sums.join(runs, on=keys, nulls_equal=True, maintain_order="left").collect()
    found = []
    for group in both.partition_by(GROUP, maintain_order=True):
        difference = group["run"] - group["accepted"]
        found.append(
            group.head(1).select(
                *GROUP,
                pl.lit(group.height).alias("contexts"),
                pl.lit(group["run"].mean()).alias("sampled"),
                pl.lit(group["accepted"].mean()).alias("expected"),
                pl.lit(difference.mean()).alias("difference"),
                pl.lit(clustered_error(difference, group["doc_id"])).alias("standard_error"),
            )
        )
    return pl.concat(found) if found else pl.DataFrame()


def clustered_error(values: pl.Series, documents: pl.Series) -> float | None:
    """Standard error of a mean of values that documents share, as a ratio of sums.

    Example:
        >>> clustered_error(pl.Series([1.0, 1.0, 3.0, 3.0]), pl.Series([1, 1, 2, 2]))
        1.0
    """
    residual = values - values.mean()
    sums = pl.DataFrame({"r": residual, "d": documents}).group_by("d").agg(pl.col("r").sum())["r"]
    count = len(sums)
    if count < 2:
        return None
    square = float((sums**2).sum()) * count / (count - 1)
    return float(np.sqrt(square)) / len(values)


def write_tree_report(
    results: Results,
    out: Path | str,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
    notes: Sequence[str] = (),
    beside: Sequence[Results] = (),
) -> TreeReport:
    """Write the tables of a file of `mdbound trees`, or of several side by side.

    `expected_length` (CSV, LaTeX, Markdown) has E tau for every verifier and tree, and the bound;
    `expected_length_long` a row for each; `sampled_runs` sets runs with coins beside them, if
    there are any.

    Args:
        results: From `open_trees`.
        out: Folder to write to; made when missing.
        bootstrap: How intervals are made; the default when None.
        command: Command line, noted under the tables.
        notes: Sentences that come first under them.
        beside: Further files, of other trees or settings.

    Raises:
        CacheError: The results are empty.
        InvalidSettingError: Two files hold the same trees, laws and verifier.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how, out = bootstrap or Bootstrap(), Path(out)
    sources = _sources([results, *beside], command)
    made_of = [one.path for one in (results, *beside)]
    results = together(results, beside)
    means = rounded(expected_lengths(results, how))
    shown_means = _with_intervals(means)
    below = [
        *notes,
        "E tau is the expected depth of the accepted node at a captured context: a mean over "
        "positions, not tokens per call, since calls start more often where drafting is bad.",
        *_bound_notes(crossed_depth_bound(results), means),
        *document_notes(shown_means),
        *_left_out(means, shown_means),
        interval_note(how),
        *sources,
    ]
    table = length_table(shown_means, below)
    files = [
        *write_table(table, out, "expected_length", made_of),
        *write_frame(means, out, "expected_length_long", (table.caption, *below), made_of),
    ]
    runs = sampled_lengths(results)
    if not runs.is_empty():
        files += write_table(_sampled_table(runs, sources), out, "sampled_runs", made_of)
    return TreeReport(table, tuple(files))


def _with_intervals(means: pl.DataFrame) -> pl.DataFrame:
    """All tasks together alone, where each has too few documents to say anything."""
    pooled = means.filter(pl.col("task") == ALL_TASKS)
    few = means.filter(pl.col("task") != ALL_TASKS)["documents"] < FEW_DOCUMENTS
    return pooled if few.all() and not pooled.is_empty() else means


def _left_out(means: pl.DataFrame, kept: pl.DataFrame) -> list[str]:
    if kept.height == means.height:
        return []
    return [
        f"Tasks by themselves have fewer than {FEW_DOCUMENTS} documents and are not shown; "
        "expected_length_long has them."
    ]


def together(results: Results, beside: Sequence[Results]) -> Results:
    """The rows of several files of draft trees, as if one run had made them.

    Args:
        results: From `open_trees`; its provenance is kept.
        beside: Further ones.

    Raises:
        InvalidSettingError: Two files hold the same trees, laws and verifier.
    """
    if not beside:
        return results
    every = [results, *beside]
    keys = [one.frame.select(*GROUP, "sampled").unique() for one in every]
    if pl.concat(keys).collect().is_duplicated().any():
        raise InvalidSettingError(
            f"{' and '.join(str(one.path) for one in every)} hold the same trees, laws and "
            "verifier: give each once"
        )
    return replace(results, frame=pl.concat([one.frame for one in every]))


def _sources(files: Sequence[Results], command: str) -> list[str]:
    """Provenance of all files, what they share once."""
    notes = [note for one in files for note in provenance_notes(one.provenance)]
    return [*dict.fromkeys(notes), *([f"Written by: {command}"] if command else [])]


def length_table(means: pl.DataFrame, notes: Sequence[str] = ()) -> Table:
    """Trees across, a row per task, laws and verifier; what is the same everywhere above it.

    Args:
        means: From `expected_lengths`.
        notes: Provenance and warnings.
    """
    varying = [name for name in LAW_COLUMNS if means[name].n_unique() > 1]
    tasks = ["task"] if means["task"].n_unique() > 1 else []
    constant = [
        f"{NAMES[name]} {means[name][0]}"
        for name in LAW_COLUMNS
        if name not in varying and means[name][0] is not None
    ]
    across = list(dict.fromkeys(means["tree"]))
    rows: list[Row] = []
    labels = [*tasks, *varying, "verifier"]
    for group in means.partition_by(labels, maintain_order=True):
        cells = {
            tree: Interval(*values)
            for tree, *values in group.select("tree", "mean", "low", "high").rows()
        }
        first = group.row(0, named=True)
        rows.append(
            (
                (*(shown(first[name]) for name in labels[:-1]), title_of(first["verifier"])),
                tuple(cells.get(tree, Interval(None)) for tree in across),
            )
        )
    # Rows of one task and laws stand together: those of the bound came after all others.
    blocks = list(dict.fromkeys(row[0][:-1] for row in rows))
    rows.sort(key=lambda row: blocks.index(row[0][:-1]))
    with_constants = f" ({', '.join(constant)})" if constant else ""
    return Table(
        caption=f"Expected accepted length E tau of each verifier{with_constants}.",
        labels=tuple(NAMES.get(name, name) for name in labels),
        values=tuple(across),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def title_of(verifier: str) -> str:
    """What a table calls a verifier, or the bound.

    Example:
        >>> title_of("gbv")
        'greedy multi-path block verification'
    """
    return BOUND_TITLES.get(verifier) or trees.verifier(verifier).title


def expected_lengths_of(rows: pl.LazyFrame, how: Bootstrap) -> pl.DataFrame:
    """Means of `accepted` per task and group, with intervals and standard errors over documents."""
    means = task_means(rows, "accepted", GROUP, how)
    errors = []
    for task in means["task"].unique(maintain_order=True):
        own = rows if task == "all" else rows.filter(pl.col("task") == task)
        for group in own.collect().partition_by(GROUP, maintain_order=True):
            error = clustered_error(group["accepted"], group["doc_id"])
            first = group.head(1).select(*GROUP)
            errors.append(
                first.with_columns(
                    pl.lit(task).alias("task"),
                    pl.lit(error, pl.Float64).alias("standard_error"),
                )
            )
    return means.join(
        pl.concat(errors), on=["task", *GROUP], how="left", nulls_equal=True, maintain_order="left"
    )


def _bound_notes(depth: CrossedDepthBound | None, means: pl.DataFrame) -> list[str]:
    notes = []
    if depth is not None:
        notes.append(
            "The bound by depth holds for every verifier, of either class; on each half of the "
            f"documents ({depth.halves[0]} and {depth.halves[1]}) it has the thresholds that were "
            "least on the other."
        )
    if means["verifier"].is_in(list(BOUND_TITLES)[1:]).any():
        notes.append(
            "The path bounds hold for every verifier that leaves a fresh target behind; each half "
            "of the documents is bounded with what was fitted on the other, and the path bound is "
            "the form that was least there."
        )
    return notes


def _sampled_table(runs: pl.DataFrame, notes: Sequence[str]) -> Table:
    varying = [name for name in ("tree", *LAW_COLUMNS) if runs[name].n_unique() > 1]
    labels = [*varying, "verifier"]
    rows: list[Row] = [
        (
            (*(shown(row[name]) for name in varying), title_of(row["verifier"])),
            (
                Interval(row["expected"]),
                Interval(row["sampled"]),
                Interval(row["difference"]),
                Interval(row["standard_error"]),
            ),
        )
        for row in runs.iter_rows(named=True)
    ]
    return Table(
        caption="One run with coins on every tree, beside the sum over coins: mean accepted "
        "length, their mean difference, and its standard error over documents.",
        labels=tuple(NAMES.get(name, name) for name in labels),
        values=("summed over coins", "one run", "difference", "standard error"),
        rows=tuple(rows),
        notes=tuple(notes),
    )
