"""What is special about a row pair, as tags that a test suite can select by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

Row = Sequence[Fraction]


def _supports_apart(p: Row, q: Row) -> bool:
    return all(a == 0 or b == 0 for a, b in zip(p, q, strict=True))


def _ties(p: Row, q: Row) -> bool:
    ratios = [a / b for a, b in zip(p, q, strict=True) if b > 0]
    return len(set(ratios)) < len(ratios)


EDGES: dict[str, Callable[[Row, Row], bool]] = {
    "ties": _ties,
    "equal": lambda p, q: tuple(p) == tuple(q),
    "target_zero": lambda p, q: any(a == 0 < b for a, b in zip(p, q, strict=True)),
    "draft_zero": lambda p, q: any(b == 0 < a for a, b in zip(p, q, strict=True)),
    "disjoint": _supports_apart,
    "point_mass_target": lambda p, _: max(p) == 1,
    "point_mass_draft": lambda _, q: max(q) == 1,
}
"""By tag, from target and draft."""


def edges(target: Row, draft: Row) -> list[str]:
    """Tags of a pair of rows.

    Example:
        >>> edges((Fraction(0), Fraction(1)), (Fraction(1, 2), Fraction(1, 2)))
        ['target_zero', 'point_mass_target']
    """
    return [name for name, holds in EDGES.items() if holds(target, draft)]


def edges_of_rows(pairs: Sequence[tuple[Row, Row]]) -> list[str]:
    """Tags that hold anywhere in several pairs.

    Example:
        >>> half = (Fraction(1, 2), Fraction(1, 2))
        >>> edges_of_rows([(half, half), (half, (Fraction(1), Fraction(0)))])
        ['ties', 'equal', 'draft_zero', 'point_mass_draft']
    """
    found = {tag for pair in pairs for tag in edges(*pair)}
    return [name for name in EDGES if name in found]
