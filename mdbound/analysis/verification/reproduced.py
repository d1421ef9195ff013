"""A row held against the same row solved again, column by column.

This is no oracle: it is the solver's word twice, and finds what was changed since. What says that
the solver is right are the certificates and programs beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mdbound.analysis.solving.results import RESULT_SCHEMA
from mdbound.analysis.verification.inventory import KEYS

RELATIVE = 1e-10
"""Difference that another processor may make: sums of positive terms agree to about 1e-15, and a
digit that was changed on purpose is larger."""

FLOORS: Mapping[str, float] = {"equals_one_margin": 1e-14, "two_draft_acceptance": 1e-14}
"""Columns that are differences, by the rounding that may be all of them."""

VALUES = tuple(name for name in RESULT_SCHEMA if name not in KEYS)


def changed_columns(
    claimed: Mapping[str, Any], again: Mapping[str, Any]
) -> Iterator[tuple[str, float, float]]:
    """Columns of a row that are not what solving gives.

    Args:
        claimed: The row of the file.
        again: The row solved again.

    Yields:
        Name, how far the value is off (infinite where one is null or of another kind), and how far
        it may be.

    Example:
        >>> row = dict.fromkeys(VALUES) | {"acceptance": 0.5, "subset_size": 3}
        >>> list(changed_columns(row, row))
        []
        >>> [name for name, *_ in changed_columns(row | {"subset_size": 4}, row)]
        ['subset_size']
    """
    for name in VALUES:
        mine, right = claimed[name], again[name]
        if mine is None or right is None:
            if mine is not right:
                yield name, math.inf, 0.0
        elif RESULT_SCHEMA[name] is pl.Float64:
            allowed = RELATIVE * abs(right) + FLOORS.get(name, 0.0)
            off = abs(mine - right)
            if not off <= allowed:
                yield name, off, allowed
        elif mine != right:
            yield name, math.inf, 0.0
