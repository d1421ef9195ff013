"""Is every row there, once, and nothing else; and can its values be what their columns hold?

This looks at the whole file, not at a draw: rows dropped, doubled or relabelled, values made null
and values outside their range are found wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mdbound.analysis.solving.results import BOUND, RESULT_SCHEMA, SETTING_COLUMNS, Results
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.bounds.papers.two_drafts import MARGIN_TOLERANCE
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache

PLACE = ("doc_id", "task", "position")
KEYS = (*PLACE, *SETTING_COLUMNS, "draft_temperature")
"""Columns that say which row it is."""

LARGEST_ERROR = 1e-6
"""Error bound that no solver states: real ones are near 1e-13, and a larger one allows anything."""

_PROBABILITIES = ("acceptance", "accept", "target_mass", "draft_mass", "containment")
_OF_BOUNDS = ("subset_size", "target_mass", "draft_mass", "containment", "error_bound")


def wrong_rows(results: Results, cache: LogitsCache) -> Iterator[str]:
    """What is wrong with the file as a whole, a line each; nothing where it is in order.

    Args:
        results: The file.
        cache: The capture that it was solved from.

    Raises:
        CacheError: The file's metadata hold no settings or selection.
    """
    yield from _wrong_keys(results, cache)
    counts = results.frame.select(
        (~condition.fill_null(value=False)).sum().alias(name)
        for name, condition in _CONDITIONS.items()
    )
    for name, count in counts.collect().row(0, named=True).items():
        if count:
            bad = results.frame.filter(~_CONDITIONS[name].fill_null(value=False))
            first = bad.head(1).collect().row(0, named=True)
            yield f"{count:,} rows: one {name}, the first: {_named(first)}"


def _wrong_keys(results: Results, cache: LogitsCache) -> Iterator[str]:
    """Rows missing, doubled, or of no setting, shard by shard: memory holds the keys of one."""
    settings = _settings_frame(results)
    masks = _selection(results).masks(cache)
    missing, doubled, of_no_setting, of_no_place = (_Counted() for _ in range(4))
    chosen: list[pl.DataFrame] = []
    for shard in cache.shards:
        if shard.index not in masks:
            continue
        places = cache.read_positions(shard).select(PLACE).filter(masks[shard.index])
        chosen.append(places)
        # Documents of a shard are neighbours, so that other parts of the file are not read.
        of_shard = results.frame.select(KEYS).filter(
            pl.col("doc_id").is_between(places["doc_id"].min(), places["doc_id"].max())
        )
        found = of_shard.join(places.lazy(), on=PLACE, how="semi").group_by(KEYS).len().collect()
        wanted = places.join(settings, how="cross")
        missing.add(wanted.join(found, on=KEYS, how="anti", nulls_equal=True))
        doubled.add(found.filter(pl.col("len") > 1))
        of_no_setting.add(found.join(wanted, on=KEYS, how="anti", nulls_equal=True))
    every = pl.concat(chosen).lazy() if chosen else pl.LazyFrame(schema=_PLACES)
    outside = results.frame.select(KEYS).join(every, on=PLACE, how="anti", nulls_equal=True)
    of_no_place.add(outside.group_by(KEYS).len().collect())
    for fault, what in (
        (missing, "are missing"),
        (doubled, "stand more than once"),
        (of_no_setting, "belong to no setting of the run"),
        (of_no_place, "belong to no position of the run"),
    ):
        if fault.count:
            yield f"{fault.count:,} rows {what}, the first: {_named(fault.first)}"


@dataclass
class _Counted:
    """Rows of one fault: how many, and the first."""

    count: int = 0
    first: Mapping[str, Any] = field(default_factory=dict)

    def add(self, rows: pl.DataFrame) -> None:
        if rows.height:
            self.first = self.first or rows.row(0, named=True)
        self.count += rows.height


_PLACES = {name: RESULT_SCHEMA[name] for name in PLACE}


def _selection(results: Results) -> Selection:
    try:
        values = results.provenance.selection
        return Selection(tuple(values.get("tasks", ())), values.get("limit_per_task"))
    except (TypeError, AttributeError) as error:
        raise CacheError(f"{results.path}: damaged selection ({error}); solve again") from error


def _settings_frame(results: Results) -> pl.DataFrame:
    """A row for each setting and n of the run."""
    rows = []
    for values in results.provenance.settings:
        try:
            setting = SolveSetting.from_dict(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(f"{results.path}: damaged settings ({error}); solve again") from error
        named = {**setting.columns(), "draft_temperature": setting.shared_draft_temperature}
        rows += [{**named, "num_drafts": n} for n in setting.num_drafts]
    columns = (*SETTING_COLUMNS, "draft_temperature")
    return pl.DataFrame(rows, schema={name: RESULT_SCHEMA[name] for name in columns})


def _is_bound() -> pl.Expr:
    return pl.col("scheme") == BOUND


def _null(names: tuple[str, ...]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).is_null() for name in names)


def _there(names: tuple[str, ...]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).is_not_null() for name in names)


_TWO = ("two_draft_acceptance", "equals_one_margin", "equals_one")
_AT_TWO = _is_bound() & (pl.col("sampling") == "with_replacement") & (pl.col("num_drafts") == 2)
_SOLVED = pl.col("acceptance").is_not_null()

_CONDITIONS: Mapping[str, pl.Expr] = {
    "has a probability outside [0, 1]": pl.all_horizontal(
        pl.col(name).is_null() | pl.col(name).is_between(0.0, 1.0 + 1e-12)
        for name in _PROBABILITIES
    ),
    "has an error bound that no solver states": pl.col("error_bound").is_null()
    | pl.col("error_bound").is_between(0.0, LARGEST_ERROR, closed="right"),
    "has a standard error that is none": pl.col("standard_error").is_null()
    | pl.col("standard_error").is_between(0.0, 1.0),
    "lacks a column of a bound, or has one of a scheme": ~_is_bound()
    | (_null(("accept", "standard_error")) & (~_SOLVED | _there(_OF_BOUNDS))),
    "lacks a column of a scheme, or has one of a bound": _is_bound()
    | (_null((*_OF_BOUNDS, *_TWO)) & (~_SOLVED | _there(("accept", "standard_error")))),
    "has the closed form of two drafts where it is none, or lacks it": pl.when(_AT_TWO)
    .then(_there(_TWO))
    .otherwise(_null(_TWO)),
    "says of its margin that it is 0 and that it is not": pl.col("equals_one").is_null()
    | (pl.col("equals_one") == (pl.col("equals_one_margin") >= -MARGIN_TOLERANCE)),
    "accepts more often by its step than in all": pl.col("accept").is_null()
    | (pl.col("accept") <= pl.col("acceptance") + 1e-12),
    "lacks its entropy": pl.col("target_entropy").is_not_null() & (pl.col("target_entropy") >= 0.0),
}
"""What holds of every row, by what is said of a row of which it does not."""


def _named(row: Mapping[str, Any]) -> str:
    shown = (f"{name} {row[name]}" for name in KEYS if row.get(name) is not None)
    return ", ".join(shown)
