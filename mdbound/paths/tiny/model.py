"""A model small enough to write down: a row of probabilities for every prefix."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

from mdbound.bounds.problem.checks import MASS_TOLERANCE
from mdbound.errors import InvalidDistributionError, InvalidSettingError

Number: TypeAlias = Fraction | float
Prefix: TypeAlias = tuple[int, ...]
Row: TypeAlias = Sequence[Number]
Model: TypeAlias = Mapping[Prefix, Row]
"""Rows of V probabilities by prefix; `()` is the context. Rows of Fraction give Fraction."""


def row_of(model: Model, prefix: Prefix, name: str) -> Row:
    """The checked row of a prefix.

    Args:
        model: rows by prefix.
        prefix: tokens so far.
        name: `"target"` or `"draft"`, for messages.

    Raises:
        InvalidDistributionError: a row with a negative entry, or that does not sum to 1.
        InvalidSettingError: the model has no such prefix.

    Example:
        >>> row_of({(): (0.5, 0.5)}, (0,), "target")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: `target` has no row for prefix (0,): give a row for
        every prefix that the path passes, the whole path included for the target
    """
    if prefix not in model:
        raise InvalidSettingError(
            f"`{name}` has no row for prefix {prefix}: give a row for every prefix that the path "
            "passes, the whole path included for the target"
        )
    row = model[prefix]
    total = float(sum(row))
    if not all(float(value) >= 0.0 for value in row) or not abs(total - 1) <= MASS_TOLERANCE:
        raise InvalidDistributionError(
            f"`{name}` row of prefix {prefix} is {tuple(map(str, row))} and sums to {total}: give "
            "probabilities of 0 or more that sum to 1"
        )
    return row


def rows_along(
    target: Model, draft: Model, path: Sequence[int]
) -> tuple[Prefix, list[Row], list[Row]]:
    """The path as a tuple, L + 1 rows of the target and L of the draft along it.

    Raises:
        InvalidDistributionError: a row that is no distribution, rows of different length, or a
            path that the draft cannot give.
        InvalidSettingError: an empty path, or a missing row.

    Example:
        >>> rows_along({(): (1, 0), (0,): (1, 0)}, {(): (1, 0)}, [0])
        ((0,), [(1, 0), (1, 0)], [(1, 0)])
    """
    tokens = tuple(path)
    if not tokens:
        raise InvalidSettingError("`path` is empty: give one or more drafted tokens")
    prefixes = [tokens[:l] for l in range(len(tokens) + 1)]
    p = [row_of(target, prefix, "target") for prefix in prefixes]
    q = [row_of(draft, prefix, "draft") for prefix in prefixes[:-1]]
    for prefix, one, other in zip(prefixes, p, q, strict=False):
        if len(one) != len(other):
            raise InvalidDistributionError(
                f"prefix {prefix}: `target` has {len(one)} tokens and `draft` {len(other)}: give "
                "rows over one vocabulary"
            )
    for place, (token, row) in enumerate(zip(tokens, q, strict=True)):
        if not 0 <= token < len(row) or row[token] == 0:
            raise InvalidDistributionError(
                f"`path` position {place} is token {token}, which the draft never gives there: "
                "give tokens of positive draft probability"
            )
    return tokens, p, q


def sequences(model: Model, length: int, name: str) -> Iterator[tuple[Prefix, Number]]:
    """Every sequence of this length that a model can give, with its probability.

    Example:
        >>> list(sequences({(): (0.25, 0.75)}, 1, "draft"))
        [((0,), 0.25), ((1,), 0.75)]
    """
    yield from _continue(model, (), 1, length, name)


def _continue(
    model: Model, prefix: Prefix, mass: Number, left: int, name: str
) -> Iterator[tuple[Prefix, Number]]:
    if left == 0:
        yield prefix, mass
        return
    for token, probability in enumerate(row_of(model, prefix, name)):
        if probability > 0:
            yield from _continue(model, (*prefix, token), mass * probability, left - 1, name)


def strings(vocab_size: int, length: int) -> Iterator[Prefix]:
    """All V^length sequences of tokens.

    Example:
        >>> len(list(strings(3, 2)))
        9
    """
    return itertools.product(range(vocab_size), repeat=length)
