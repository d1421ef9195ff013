"""Tables of results as data: what is in them, before any file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mdbound.analysis.results import SETTING_COLUMNS, Provenance
from mdbound.analysis.statistics import ALL_TASKS, Bootstrap, document_notes


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, each None where there is none.

    Example:
        >>> str(Interval(0.61234, 0.6, 0.62))
        '0.612 [0.600, 0.620]'
    """

    mean: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return f"{self.mean_text} {self.range_text}".strip()

    @property
    def mean_text(self) -> str:
        """The mean with three decimals, or a dash."""
        return "-" if self.mean is None else f"{self.mean:.3f}"

    @property
    def range_text(self) -> str:
        """The interval with three decimals, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Table:
    """A table ready to be written in any format.

    Attributes:
        caption: One sentence or two: what the numbers are.
        labels: Names of the leading columns, which say what a row is.
        values: Names of the columns of numbers.
        rows: Per row the labels, then the intervals.
        notes: Warnings and provenance, shown under the table.
    """

    caption: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Interval, ...]], ...]
    notes: tuple[str, ...]


#: Columns of a table, in reading order, with how they are called in it.
_LABEL_NAMES = {
    "task": "task",
    "draft": "draft",
    "scheme": "scheme",
    "sampling": "draft law",
    "temperature": "temperature",
    "draft_temperatures": "draft temperature",
    "top_k": "top-k",
    "top_p": "top-p",
}


def acceptance_table(means: pl.DataFrame, notes: Sequence[str] = ()) -> Table:
    """Lay out mean acceptance with n across, one row per task and setting.

    Columns that are the same in every row move to the caption.

    Args:
        means: From `statistics.task_means` over a results file.
        notes: Provenance and warnings.

    Returns:
        The table.
    """
    keys = ["task", *(name for name in SETTING_COLUMNS if name != "num_drafts")]
    numbers = sorted(means["num_drafts"].unique().to_list())
    varying = [name for name in _LABEL_NAMES if means[name].n_unique() > 1 or name == "task"]
    if _same_temperatures(means):
        varying = [name for name in varying if name != "draft_temperatures"]
    rows = []
    for group in _ordered_groups(means, keys):
        cells = {
            n: Interval(mean, low, high)
            for n, mean, low, high in group.select("num_drafts", "mean", "low", "high").rows()
        }
        labels = tuple(_shown(group[name][0]) for name in varying)
        rows.append((labels, tuple(cells.get(n, Interval(None)) for n in numbers)))
    return Table(
        caption=_caption(means, varying),
        labels=tuple(_LABEL_NAMES[name] for name in varying),
        values=tuple(f"n = {n}" for n in numbers),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def table_notes(
    means: pl.DataFrame, provenance: Provenance, how: Bootstrap, command: str = ""
) -> list[str]:
    """Say under a table what was measured, on what, and how to make it again.

    Args:
        means: From `statistics.task_means`.
        provenance: Of the results file.
        how: How the intervals were made.
        command: The command line that writes the table.

    Returns:
        One sentence per line, warnings first.
    """
    widest = means.filter(pl.col("task") == ALL_TASKS)
    counted = widest if not widest.is_empty() else means
    capture = "; ".join(
        f"{key} {_shown(value)}" for key, value in provenance.capture.items() if value is not None
    )
    notes = [
        *document_notes(means),
        f"{counted['documents'].to_numpy().max()} documents, "
        f"{(counted['positions'] + counted['unsolved']).to_numpy().max()} positions. "
        f"Intervals: {how.confidence:.0%} percentile bootstrap over documents, "
        f"{how.resamples} resamples, seed {how.seed}.",
        f"Capture {provenance.capture_identity}: {capture}.",
        f"mdbound {provenance.version}.",
    ]
    if (means["sampling"] == "independent").any():
        notes.append(
            "Under the independent law, n uses the first n of the drafts (models or temperatures) "
            "in the order shown."
        )
    notes += [f"Solved by: {provenance.command}"] if provenance.command else []
    notes += [f"Written by: {command}"] if command else []
    return notes


def _ordered_groups(means: pl.DataFrame, keys: Sequence[str]) -> list[pl.DataFrame]:
    """Rows of a table: each label's values in their order of appearance, leftmost label first."""
    order = {
        name: {value: rank for rank, value in enumerate(means[name].unique(maintain_order=True))}
        for name in _LABEL_NAMES
    }
    return sorted(
        means.partition_by(keys, maintain_order=True),
        key=lambda group: [order[name][group[name][0]] for name in _LABEL_NAMES],
    )


def _caption(means: pl.DataFrame, varying: Sequence[str]) -> str:
    hidden = {*varying, "scheme"}
    if _same_temperatures(means):
        hidden.add("draft_temperatures")
    constant = [
        f"{label} {_shown(means[name][0])}"
        for name, label in _LABEL_NAMES.items()
        if name not in hidden and means[name][0] is not None
    ]
    if _same_temperatures(means):
        constant.append("draft temperature as the target's")
    only_bound = means["scheme"].n_unique() == 1 and means["scheme"][0] == "bound"
    what = (
        "Optimal acceptance: the largest probability, over all lossless verification rules, "
        "that the output token is one of n drafted tokens"
        if only_bound
        else "Probability that the output token is one of n drafted tokens"
    )
    with_constants = f" ({', '.join(constant)})" if constant else ""
    return f"{what}; mean over positions{with_constants}."


def _same_temperatures(means: pl.DataFrame) -> bool:
    return [str(value) for value in means["temperature"]] == means["draft_temperatures"].to_list()


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
