"""The part of the results that a figure shows: settings that it has no axis for are held fixed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mdbound.analysis.figures.drawing import FigureOptions
from mdbound.analysis.solving.results import BOUND, SETTING_COLUMNS, Results
from mdbound.analysis.solving.setting import laws_of_several_distributions
from mdbound.analysis.statistics.bootstrap import FEW_DOCUMENTS, Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.tables.table import shown
from mdbound.errors import InvalidSettingError

#: Draft temperatures in words: `SAME` where every draft has the target's.
DRAFTING = "drafting"
SAME = "as the target's"

_ROW = "row of the file"

#: What is held fixed, in this order, and how a caption calls it.
_FIXED = {
    "draft": "draft",
    "temperature": "temperature",
    DRAFTING: "draft temperature",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "vocabulary_size": "vocabulary",
    "vocabulary_of": "vocabulary of",
    "num_drafts": "n",
}


@dataclass(frozen=True)
class Slice:
    """Rows of results in which only what a figure shows varies.

    Attributes:
        rows: Their rows, tasks pooled into one.
        settings: Their settings, one row each, with `DRAFTING`.
        fixed: What is held fixed, for the caption.
    """

    rows: pl.LazyFrame
    settings: pl.DataFrame
    fixed: str


def settings_of(results: Results, options: FigureOptions | None = None) -> pl.DataFrame:
    """Distinct settings of the results, in their order, with `DRAFTING`.

    Raises:
        InvalidSettingError: `where` leaves nothing.
    """
    where = {} if options is None else options.where
    found = (
        _kept(results.frame, where).select(SETTING_COLUMNS).unique(maintain_order=True).collect()
    )
    if found.is_empty():
        asked = ", ".join(f"{name} = {shown(values)}" for name, values in where.items())
        raise InvalidSettingError(
            f"no results with {asked}; `mdbound report` lists the settings that there are"
            if asked
            else f"{results.path} holds no rows; solve the capture again"
        )
    same = pl.Series(
        [_is_same(*pair) for pair in found.select("temperature", "draft_temperatures").rows()]
    )
    drafting = pl.when(same).then(pl.lit(SAME)).otherwise("draft_temperatures")
    return found.with_columns(drafting.alias(DRAFTING))


def take_slice(results: Results, options: FigureOptions, free: Collection[str]) -> Slice:
    """Hold everything fixed but draft law, scheme and what the figure shows.

    Each setting takes a value that all draft laws have, where there is one: temperature 1, drafts
    at the target's temperature, no cut, the most drafts; else the first there is.

    Args:
        results: All rows.
        options: Their `where` comes first.
        free: Settings that the figure shows.

    Raises:
        InvalidSettingError: `where` leaves nothing.
    """
    kept = settings_of(results, options)
    for name in _FIXED:
        if name not in free:
            kept = _fixed(kept, name)
    rows = (
        _kept(results.frame.with_row_index(_ROW), options.where)
        .join(kept.lazy(), on=SETTING_COLUMNS, how="semi", nulls_equal=True)
        # Joins lose the order, and with it the documents that a bootstrap draws.
        .sort(_ROW)
        .drop(_ROW)
        .with_columns(
            pl.concat_str("task", "doc_id", separator="/").alias("doc_id"),
            pl.lit(ALL_TASKS).alias("task"),
        )
    )
    target = str(results.provenance.capture.get("target") or "").rsplit("/", 1)[-1]
    return Slice(rows, kept, _in_words(kept, free, options, target))


def varies(settings: pl.DataFrame, name: str) -> bool:
    """Whether the settings of the bounds differ in a column."""
    return settings.filter(pl.col("scheme") == BOUND)[name].n_unique() > 1


def draws_pairs() -> pl.Expr:
    """Whether a row has two drafts, each from a distribution of its own."""
    several = pl.col("sampling").is_in(laws_of_several_distributions())
    return several & (pl.col("draft_temperatures").str.count_matches("|", literal=True) == 1)


def band_words(part: Slice, bootstrap: Bootstrap) -> str:
    """What the bands of a figure are, and whether they can be relied on."""
    documents = part.rows.select(pl.col("doc_id").n_unique()).collect().item()
    if documents < 2:
        return "No bands: one document says nothing about others."
    few = f", too narrow to rely on with {documents} documents" if documents < FEW_DOCUMENTS else ""
    return f"Bands: {bootstrap.confidence:.0%} bootstrap intervals over documents{few}."


def _kept(rows: pl.LazyFrame, where: Any) -> pl.LazyFrame:
    for name, values in where.items():
        given = [value for value in values if value is not None]
        wanted = pl.col(name).is_in(given)
        rows = rows.filter(wanted | pl.col(name).is_null() if None in values else wanted)
    return rows


def _is_same(temperature: float, drafts: str) -> bool:
    return set(drafts.split("|")) == {str(temperature)}


def _fixed(kept: pl.DataFrame, name: str) -> pl.DataFrame:
    """Keep one value of a column: the same under every draft law, where there is such a one."""
    by_law = {
        str(law): rows[name].unique(maintain_order=True).to_list()
        for (law,), rows in kept.partition_by("sampling", as_dict=True, maintain_order=True).items()
    }
    first, *others = by_law.values()
    common = [value for value in first if all(value in other for other in others)]
    chosen = {law: _preferred(name, common or values) for law, values in by_law.items()}
    same = [value == chosen[law] for law, value in kept.select("sampling", name).rows()]
    return kept.filter(pl.Series(same))


def _preferred(name: str, values: Sequence[Any]) -> Any:
    usual = {"temperature": 1.0, DRAFTING: SAME}.get(name)
    if usual in values:
        return usual
    if name in ("draft", "temperature", DRAFTING, "vocabulary_of"):
        return values[0]
    return max(values, key=float)


def _in_words(
    kept: pl.DataFrame, free: Collection[str], options: FigureOptions, target: str
) -> str:
    words = [f"target {target}"] if target else []
    words += [f"task {shown(options.where['task'])}"] if "task" in options.where else []
    if kept["sampling"].n_unique() == 1:
        words.append(f"draft law {kept['sampling'][0].replace('_', ' ')}")
    for name, label in _FIXED.items():
        values = kept[name].unique(maintain_order=True)
        if name in free or values.to_list() == [None]:
            continue
        if len(values) == 1:
            words.append(f"{label} = {values[0]}" if label == "n" else f"{label} {values[0]}")
            continue
        words.append(f"{label} {_per_law(kept, name)}")
    return f"Held fixed: {'; '.join(words)}." if words else ""


def _per_law(kept: pl.DataFrame, name: str) -> str:
    """The value of most laws, and the laws that have another."""
    pairs = kept.select("sampling", name).unique(maintain_order=True).rows()
    values = [value for _, value in pairs]
    usual = max(values, key=values.count)
    others = [
        f"{shown(value)} under the {law.replace('_', ' ')} law"
        for law, value in pairs
        if value != usual
    ]
    return f"{shown(usual)} ({', '.join(others)})"
