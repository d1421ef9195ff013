"""Tables of results as data: what is in them, before any file format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import polars as pl

from mdbound.analysis.solving.results import BOUND

#: Decimals of every number in a table: more would be narrower than the intervals of most captures,
#: fewer would hide differences between schemes.
DIGITS = 3


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, each None where there is none.

    Attributes:
        mean: The value.
        low: Lower end of its interval.
        high: Upper end.
        rank: 1 for the best of its block, 2 for the second best, else None.

    Example:
        >>> str(Interval(0.61234, 0.6, 0.62))
        '0.612 [0.600, 0.620]'
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    rank: int | None = None

    @classmethod
    def of(cls, mean: float, low: float, high: float, rank: int | None = None) -> Interval:
        """From numbers that are NaN where there is no interval.

        Example:
            >>> Interval.of(0.5, math.nan, math.nan)
            Interval(mean=0.5, low=None, high=None, rank=None)
        """
        if math.isnan(low):
            return cls(mean, rank=rank)
        return cls(mean, float(low), float(high), rank)

    def __str__(self) -> str:
        return f"{self.mean_text} {self.range_text}".strip()

    @property
    def mean_text(self) -> str:
        """The mean with three decimals, or a dash."""
        # Adding 0.0 turns -0.0 into 0.0.
        return "-" if self.mean is None else f"{round(self.mean, DIGITS) + 0.0:.{DIGITS}f}"

    @property
    def range_text(self) -> str:
        """The interval with three decimals, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self.low + 0.0:.{DIGITS}f}, {self.high + 0.0:.{DIGITS}f}]"

    @property
    def half_width(self) -> int | None:
        """Half the width of the interval in units of the last digit shown, rounded up.

        Example:
            >>> Interval(0.61234, 0.6, 0.62).half_width
            10
        """
        if self.low is None or self.high is None:
            return None
        return math.ceil(round((self.high - self.low) / 2 * 10.0**DIGITS, 6))


Row: TypeAlias = tuple[tuple[str, ...], tuple[Interval, ...]]


@dataclass(frozen=True)
class Table:
    """A table ready to be written in any format.

    Attributes:
        caption: One sentence or two: what the numbers are.
        labels: Names of the leading columns, which say what a row is.
        values: Names of the columns of numbers.
        rows: Per row the labels, then the intervals.
        notes: Warnings and provenance, shown under the table.
        label: Name to refer to it by in LaTeX, or nothing.
    """

    caption: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    label: str = ""


@dataclass(frozen=True)
class Measure:
    """One quantity of a frame of means, and how a table of it reads.

    Attributes:
        what: First words of the caption.
        value: Column of the mean.
        low: Column of the lower end of its interval.
        high: Column of the upper end.
        best: `"max"` or `"min"`: which value is the best; None marks none.
        label: Name to refer to the table by in LaTeX.
        across: Setting column whose values are the columns of the table.
    """

    what: str
    value: str = "mean"
    low: str = "low"
    high: str = "high"
    best: str | None = "max"
    label: str = ""
    across: str = "num_drafts"


BOUND_ONLY = (
    "Optimal acceptance: the largest probability, over all lossless verification rules, that the "
    "output token is one of n drafted tokens"
)
MEMBERSHIP = "Probability that the output token is one of n drafted tokens"

#: Columns of a table, in reading order, with how they are called in it.
LABEL_NAMES = {
    "task": "task",
    "draft": "draft",
    "temperature": "temperature",
    "draft_temperatures": "draft temperature",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "vocabulary_size": "vocabulary",
    "vocabulary_of": "vocabulary of",
    "sampling": "draft law",
    "scheme": "scheme",
    "num_drafts": "n",
}

#: Rows that differ in this alone are alternatives, among which the best is marked: a draft law is
#: part of the question, not of the answer.
_ALTERNATIVE = "scheme"


def acceptance_table(
    means: pl.DataFrame, notes: Sequence[str] = (), measure: Measure | None = None
) -> Table:
    """Lay out a mean with n, or another setting, across; one row per task and other settings.

    Columns that are the same in every row move to the caption. Among rows that differ in the scheme
    alone the best of each column is marked, all that are tied, and the second best unless it is the
    worst.

    Args:
        means: From `task_means.task_means` over a results file, or columns as `measure` names.
        notes: Provenance and warnings.
        measure: What to show; mean acceptance over positions when None.

    Returns:
        The table.
    """
    what = BOUND_ONLY if _only_bounds(means) else MEMBERSHIP
    measure = measure or Measure(f"{what}; mean over positions")
    across = measure.across
    varying = [name for name in _row_columns(means, across) if means[name].n_unique() > 1]
    varying = list(dict.fromkeys(["task", *varying]))
    columns = _sorted_values(means[across])
    blocks: dict[tuple[str, ...], list[int]] = {}
    rows: list[Row] = []
    for group in _ordered_groups(means, ["task", *_row_columns(means, across)]):
        row = group.row(0, named=True)
        if row["scheme"] != BOUND:
            block = tuple(_label(name, row[name]) for name in varying if name != _ALTERNATIVE)
            blocks.setdefault(block, []).append(len(rows))
        labels = tuple(_label(name, row[name]) for name in varying)
        rows.append((labels, _cells(group, columns, measure)))
    return Table(
        caption=_caption(means, varying, measure),
        labels=tuple(LABEL_NAMES[name] for name in varying),
        values=tuple(_column_name(across, value) for value in columns),
        rows=_ranked(rows, list(blocks.values()), measure.best),
        notes=tuple(notes),
        label=measure.label,
    )


def _row_columns(means: pl.DataFrame, across: str) -> list[str]:
    """Columns that tell rows apart: not the one across, nor those that go with another."""
    implied = {across}
    if _same_temperatures(means):
        implied.add("draft_temperatures")
    if means["vocabulary_of"].drop_nulls().n_unique() <= 1:
        implied.add("vocabulary_of")
    return [name for name in LABEL_NAMES if name not in {"task", *implied}]


def _sorted_values(values: pl.Series) -> list[Any]:
    """Distinct values: numbers ascending with null (no cut) last, names as they appear."""
    distinct = values.unique(maintain_order=True).to_list()
    if values.dtype == pl.String:
        return distinct
    return sorted(distinct, key=lambda value: (value is None, value or 0))


def _column_name(across: str, value: object) -> str:
    name = "n" if across == "num_drafts" else LABEL_NAMES[across]
    return f"{name} = {_label(across, value)}"


def _label(name: str, value: object) -> str:
    """A setting as a table shows it: no restriction of the vocabulary is the full one."""
    return "full" if name == "vocabulary_size" and value is None else shown(value)


def _cells(group: pl.DataFrame, values: Sequence[Any], measure: Measure) -> tuple[Interval, ...]:
    columns = group.select(measure.across, measure.value, measure.low, measure.high)
    cells = {value: Interval(mean, low, high) for value, mean, low, high in columns.rows()}
    return tuple(cells.get(value, Interval(None)) for value in values)


def _ranked(rows: Sequence[Row], blocks: Sequence[list[int]], best: str | None) -> tuple[Row, ...]:
    """Mark in each column of each block the best value and the second best, as shown."""
    if best is None:
        return tuple(rows)
    cells = [list(row[1]) for row in rows]
    for block in blocks:
        for column in range(len(cells[0])):
            shown_values = {
                row: round(mean, DIGITS)
                for row in block
                if (mean := cells[row][column].mean) is not None
            }
            order = sorted(set(shown_values.values()), reverse=best == "max")
            # With one value for all there is nothing to choose, and the last place is no mark.
            marked = order[: min(2, len(order) - 1)]
            for row, value in shown_values.items():
                if value in marked:
                    rank = marked.index(value) + 1
                    cells[row][column] = replace(cells[row][column], rank=rank)
    return tuple((row[0], tuple(of_row)) for row, of_row in zip(rows, cells, strict=True))


def _ordered_groups(means: pl.DataFrame, keys: Sequence[str]) -> list[pl.DataFrame]:
    """Rows of a table: each label's values in their order of appearance, leftmost label first."""
    order = {
        name: {value: rank for rank, value in enumerate(means[name].unique(maintain_order=True))}
        for name in keys
    }
    return sorted(
        means.partition_by(keys, maintain_order=True),
        key=lambda group: [order[name][group[name][0]] for name in keys],
    )


def _caption(means: pl.DataFrame, varying: Sequence[str], measure: Measure) -> str:
    hidden = {*varying, measure.across}
    if _only_bounds(means):
        hidden.add("scheme")
    if _same_temperatures(means):
        hidden.add("draft_temperatures")
    constant = [
        f"{label} = {means[name][0]}" if name == "num_drafts" else f"{label} {means[name][0]}"
        for name, label in LABEL_NAMES.items()
        if name not in hidden and means[name][0] is not None
    ]
    if _same_temperatures(means):
        constant.append("draft temperature as the target's")
    with_constants = f" ({', '.join(constant)})" if constant else ""
    return f"{measure.what}{with_constants}."


def _only_bounds(means: pl.DataFrame) -> bool:
    return means["scheme"].unique().to_list() == [BOUND]


def _same_temperatures(means: pl.DataFrame) -> bool:
    return [str(value) for value in means["temperature"]] == means["draft_temperatures"].to_list()


def shown(value: object) -> str:
    """A value as a table shows it.

    Example:
        >>> shown(None), shown(["a", 1])
        ('none', 'a, 1')
    """
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
