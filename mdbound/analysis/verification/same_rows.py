"""Two files of results held against each other, row by row in their order: memory holds a part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

RELATIVE = 1e-10
"""Difference that another processor may make: sums of positive terms agree to about 1e-15, and a
digit that was changed on purpose is larger."""

FLOOR = 1e-14
"""The same where a value is a difference that may be all rounding."""

_PART_ROWS = 65_536


def differences(
    claimed: pl.LazyFrame, again: pl.LazyFrame, keys: Sequence[str]
) -> Iterator[tuple[str, str, float]]:
    """Where a file is not what a run gives.

    Args:
        claimed: Rows of the file.
        again: Rows of the run, in the order in which it writes them.
        keys: Columns that say which row it is. Where they differ rows are missing, doubled or
            relabelled, and what follows is not compared.

    Yields:
        The row, what of it differs, and by how much (infinite where it is no number).
    """
    heights = [int(frame.select(pl.len()).collect().item()) for frame in (claimed, again)]
    if heights[0] != heights[1]:
        yield "the file", f"{heights[0]:,} rows where the run has {heights[1]:,}", math.inf
    for start in range(0, min(heights), _PART_ROWS):
        left, right = (frame.slice(start, _PART_ROWS).collect() for frame in (claimed, again))
        height = min(left.height, right.height)
        left, right = left.head(height), right.head(height)
        same_keys = pl.Series(_equal_keys(left, right, keys))
        if not same_keys.all():
            place = int((~same_keys).arg_max() or 0)
            wanted = name_of(right.row(place, named=True), keys)
            found = name_of(left.row(place, named=True), keys)
            yield f"row {start + place}", f"{found} where the run has {wanted}", math.inf
            return
        yield from _changed_values(left, right, keys)


def _equal_keys(left: pl.DataFrame, right: pl.DataFrame, keys: Sequence[str]) -> list[bool]:
    pairs = zip(left.select(keys).iter_rows(), right.select(keys).iter_rows(), strict=True)
    return [mine == wanted for mine, wanted in pairs]


def _changed_values(
    left: pl.DataFrame, right: pl.DataFrame, keys: Sequence[str]
) -> Iterator[tuple[str, str, float]]:
    for name in right.columns:
        if name in keys:
            continue
        pairs = zip(left[name].to_list(), right[name].to_list(), strict=True)
        for row, (mine, wanted) in enumerate(pairs):
            off = distance(mine, wanted)
            if off > 0.0:
                yield name_of(right.row(row, named=True), keys), name, off


def distance(mine: Any, wanted: Any) -> float:
    """How far a value is off beyond rounding; 0 where it is the same.

    Example:
        >>> distance(0.5, 0.5 + 1e-16), distance(None, 0.5), distance([1.0, 2.0], [1.0, 2.5])
        (0.0, inf, 0.5)
    """
    if mine is None or wanted is None:
        return 0.0 if mine is wanted else math.inf
    if isinstance(wanted, list):
        if len(mine) != len(wanted):
            return math.inf
        return max((distance(*pair) for pair in zip(mine, wanted, strict=True)), default=0.0)
    if isinstance(wanted, float):
        if math.isnan(wanted) or math.isnan(mine):
            return 0.0 if math.isnan(wanted) and math.isnan(mine) else math.inf
        off = abs(mine - wanted)
        return off if off > RELATIVE * abs(wanted) + FLOOR else 0.0
    return 0.0 if mine == wanted else math.inf


def name_of(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """A row in words.

    Example:
        >>> name_of({"doc_id": "3", "top_k": None}, ["doc_id", "top_k"])
        'doc_id 3'
    """
    return ", ".join(f"{name} {row[name]}" for name in keys if row[name] is not None)
