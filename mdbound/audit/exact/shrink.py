"""From a problem that a rule fails on to the smallest that it still fails on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeVar

from mdbound.audit.problems.positions import Row

P = TypeVar("P")

_MOST_TRIES = 1500
"""Problems that are tried: a tree's takes milliseconds each, so that a witness takes seconds."""


def shrink(
    problem: P,
    smaller: Callable[[P], Iterable[P]],
    size: Callable[[P], tuple[Any, ...]],
    fails: Callable[[P], bool],
) -> P:
    """Take the first smaller problem that still fails, until none does.

    Args:
        problem: one that fails.
        smaller: candidates, given a problem; those that are not smaller are passed over.
        size: what is compared.
        fails: whether a rule fails on a problem; a problem that it raises on does not count.

    Example:
        >>> shrink(40, lambda n: [n // 2, n - 1], lambda n: (n,), lambda n: n >= 7)
        7
    """
    left = _MOST_TRIES
    going = True
    while going:
        going = False
        for candidate in smaller(problem):
            if left == 0:
                return problem
            if size(candidate) >= size(problem):
                continue
            left -= 1
            if fails(candidate):
                problem, going = candidate, True
                break
    return problem


def row_size(row: Row) -> int:
    """How much there is to read in a row: digits of its fractions.

    Example:
        >>> row_size((Fraction(1), Fraction(0))), row_size((Fraction(3, 8), Fraction(5, 8)))
        (2, 28)
    """
    # A point mass is simplest; halves are simpler than eighths.
    return sum(
        1 if mass.denominator == 1 else 2 + mass.numerator + mass.denominator for mass in row
    )


def simple_rows(vocab_size: int) -> list[Row]:
    """Rows that are easy to read, simplest first.

    Example:
        >>> [[str(mass) for mass in row] for row in simple_rows(2)][:3]
        [['1', '0'], ['0', '1'], ['1/2', '1/2']]
    """
    whole = [_units(vocab_size, {token: 1}, 1) for token in range(vocab_size)]
    pairs = [(a, b) for a in range(vocab_size) for b in range(vocab_size) if a != b]
    halves = [_units(vocab_size, {a: 1, b: 1}, 2) for a, b in pairs if a < b]
    quarters = [_units(vocab_size, {a: 3, b: 1}, 4) for a, b in pairs]
    spread = [
        _units(vocab_size, {**dict.fromkeys(range(3), 1), a: 2}, 4)
        for a in range(min(3, vocab_size))
        if vocab_size >= 3
    ]
    return [*whole, *halves, *quarters, *spread]


def _units(vocab_size: int, units: dict[int, int], total: int) -> Row:
    return tuple(Fraction(units.get(token, 0), total) for token in range(vocab_size))


def merged(row: Row, token: int, into: int) -> Row:
    """A row with one token fewer, whose mass goes to another.

    Example:
        >>> [str(mass) for mass in merged((Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)), 2, 1)]
        ['1/2', '1/2']
    """
    kept = list(row)
    kept[into] += kept[token]
    del kept[token]
    return tuple(kept)
