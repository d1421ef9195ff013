"""What is drafted after one node: every list of tokens with its probability, or one at random.

Each law takes one row of the draft for each draw; all but `"with_replacement"` take equal rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import refuse_unknown
from mdbound.paths.tiny.model import Number, Row
from mdbound.schemes.sampling.draws import draw_tokens

Tokens: TypeAlias = tuple[int, ...]
Lists: TypeAlias = Iterator[tuple[Tokens, Number]]


@dataclass(frozen=True)
class NodeLaw:
    """How the list of a node is drawn.

    Attributes:
        name: the law of one position, by its name in `mdbound.bounds` where it has one.
        lists: from one row for each draw to every list with its probability.
        draw: one list at random; rows are float64 arrays.
        most_lists: from V and n to the number of lists, if all tokens have mass.
    """

    name: str
    lists: Callable[[Sequence[Row]], Lists]
    draw: Callable[[Sequence[FloatArray], np.random.Generator], Tokens]
    most_lists: Callable[[int, int], float]


def _with_replacement(rows: Sequence[Row]) -> Lists:
    found: list[tuple[Tokens, Number]] = [((), 1)]
    for row in rows:
        found = [
            ((*drafted, token), mass * row[token])
            for drafted, mass in found
            for token in _support(row)
        ]
    return iter(found)


def _draw_with_replacement(rows: Sequence[FloatArray], rng: np.random.Generator) -> Tokens:
    return tuple(int(draw_tokens(row, rng, 1)[0]) for row in rows)


def _without_replacement(rows: Sequence[Row]) -> Lists:
    row, count = rows[0], min(len(rows), len(_support(rows[0])))
    found: list[tuple[Tokens, Number]] = [((), 1)]
    for _ in range(count):
        found = [
            ((*drafted, token), mass * row[token] / left)
            for drafted, mass in found
            for left in (sum(row[other] for other in _support(row) if other not in drafted),)
            for token in _support(row)
            if token not in drafted
        ]
    return iter(found)


def _draw_without_replacement(rows: Sequence[FloatArray], rng: np.random.Generator) -> Tokens:
    weights = rows[0].copy()
    drafted: list[int] = []
    while len(drafted) < len(rows) and weights.any():
        drafted.append(int(draw_tokens(weights, rng, 1)[0]))
        weights[drafted[-1]] = 0.0
    return tuple(drafted)


def _greedy(rows: Sequence[Row]) -> Lists:
    row = rows[0]
    top = most_likely(row, len(rows) - 1)
    rest = [token for token in _support(row) if token not in top]
    left = sum(row[token] for token in rest)
    yield from (((*top, token), row[token] / left) for token in rest)
    if not rest:
        yield top, 1


def _draw_greedy(rows: Sequence[FloatArray], rng: np.random.Generator) -> Tokens:
    top = most_likely(rows[0], len(rows) - 1)
    rest = rows[0].copy()
    rest[list(top)] = 0.0
    return (*top, int(draw_tokens(rest, rng, 1)[0])) if rest.any() else top


def _top_k(rows: Sequence[Row]) -> Lists:
    yield most_likely(rows[0], len(rows)), 1


def _draw_top_k(rows: Sequence[FloatArray], rng: np.random.Generator) -> Tokens:
    del rng  # nothing is left to chance
    return most_likely(rows[0], len(rows))


def _lists_with(vocab_size: int, draws: int) -> float:
    return float(vocab_size) ** draws


def _lists_without(vocab_size: int, draws: int) -> float:
    return float(math.perm(vocab_size, min(vocab_size, draws)))


def _lists_greedy(vocab_size: int, draws: int) -> float:
    return float(max(1, vocab_size - draws + 1))


def _lists_top_k(vocab_size: int, draws: int) -> float:
    del vocab_size, draws  # there is one
    return 1.0


NODE_LAWS: dict[str, NodeLaw] = {
    law.name: law
    for law in (
        NodeLaw("with_replacement", _with_replacement, _draw_with_replacement, _lists_with),
        NodeLaw(
            "without_replacement", _without_replacement, _draw_without_replacement, _lists_without
        ),
        NodeLaw("greedy", _greedy, _draw_greedy, _lists_greedy),
        NodeLaw("top_k", _top_k, _draw_top_k, _lists_top_k),
    )
}
"""By name. `"top_k"` drafts the most likely tokens, and leaves nothing to chance."""


def node_law(sampling: str) -> NodeLaw:
    """The law of a node's list.

    Raises:
        InvalidSettingError: no such law.

    Example:
        >>> list(node_law("greedy").lists([(0.5, 0.25, 0.25)] * 2))
        [((0, 1), 0.5), ((0, 2), 0.5)]
    """
    refuse_unknown([sampling], NODE_LAWS, "`sampling`")
    return NODE_LAWS[sampling]


def most_likely(row: Row | FloatArray, count: int) -> Tokens:
    """The most likely tokens of positive probability, most likely first, ties to the lower id.

    Example:
        >>> most_likely((0.25, 0.0, 0.5, 0.25), 2)
        (2, 0)
    """
    if isinstance(row, np.ndarray):
        # Only what is at least as likely as the count-th is worth sorting.
        least = np.partition(row, -count)[-count] if 0 < count < len(row) else 0.0
        tokens = np.flatnonzero((row >= least) & (row > 0.0)).tolist()
    else:
        tokens = _support(row)
    return tuple(sorted(tokens, key=lambda token: (-row[token], token))[:count])


def _support(row: Row) -> list[int]:
    return [token for token, mass in enumerate(row) if mass > 0]
