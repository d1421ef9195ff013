"""Is every row there, once, and nothing else; and can its values be what their columns hold?

This looks at the whole file, not at a draw: rows dropped, doubled or relabelled, values made null
and values outside their range are found wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
_OF_BOUNDS = (*("subset_size", "target_mass", "draft_mass", "containment", "error_bound"),)


def wrong_rows(results: Results, cache: LogitsCache) -> Iterator[str]:
    """What is wrong with the file as a whole, a line each; nothing where it is in order.

    Args:
        results: The file.
        cache: The capture that it was solved from.

    Raises:
        CacheError: The file's metadata hold no settings or selection.
    """
    yield from _wrong_keys(results, cache)
    for name, condition in _CONDITIONS.items():
        bad = results.frame.filter(~condition.fill_null(value=False))
        yield from _lines(bad, name)


def _wrong_keys(results: Results, cache: LogitsCache) -> Iterator[str]:
    expected_settings = _settings_frame(results)
    selection = _selection(results)
    masks = selection.masks(cache)
    found = results.frame.select(KEYS).group_by(KEYS).len()
    seen = found.with_columns(pl.lit(True).alias("seen")).collect()
    doubled = seen.filter(pl.col("len") > 1)
    yield from _lines(doubled.lazy(), "stands more than once")
    missing = 0
    first: dict[str, Any] = {}
    for shard in cache.shards:
        if shard.index not in masks:
            continue
        places = cache.read_positions(shard).select(PLACE).filter(masks[shard.index])
        wanted = places.join(expected_settings, how="cross")
        absent = wanted.join(seen, on=KEYS, how="anti", nulls_equal=True)
        seen = seen.join(wanted, on=KEYS, how="anti", nulls_equal=True)
        if absent.height:
            first = first or absent.row(0, named=True)
        missing += absent.height
    if missing:
        yield f"{missing:,} rows are missing, the first: {_named(first)}"
    if seen.height:
        yield (
            f"{seen.height:,} rows belong to no position and setting of the run, the first: "
            f"{_named(seen.row(0, named=True))}"
        )


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
        distinct = set(setting.draft_temperatures)
        shared = min(distinct) if len(distinct) == 1 else None
        rows += [
            {**setting.columns(), "num_drafts": n, "draft_temperature": shared}
            for n in setting.num_drafts
        ]
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


def _lines(bad: pl.LazyFrame, what: str) -> Iterator[str]:
    count = int(bad.select(pl.len()).collect().item())
    if count:
        first = bad.head(1).collect().row(0, named=True)
        yield f"{count:,} rows: one {what}, the first: {_named(first)}"


def _named(row: Mapping[str, Any]) -> str:
    shown = (f"{name} {row[name]}" for name in KEYS if row.get(name) is not None)
    return ", ".join(shown)
