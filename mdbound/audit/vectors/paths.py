"""Reference vectors of block verification: what a kernel has to do with each drafted path."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from mdbound import paths
from mdbound.audit.vectors.edges import edges_of_rows

Row = tuple[Fraction, ...]

#: Eighths, so that the numbers in the file are exact. After the last token: state 0 comes first.
_MARKOV: dict[str, tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]] = {
    "two tokens": (((2, 6), (5, 3)), ((6, 2), (4, 4))),
    "three tokens": (((4, 2, 2), (2, 4, 2), (1, 3, 4)), ((2, 4, 2), (4, 2, 2), (2, 2, 4))),
    "zeros": (((0, 4, 4), (4, 4, 0), (2, 3, 3)), ((4, 4, 0), (4, 0, 4), (8, 0, 0))),
    "equal after token 1": (((1, 5, 2), (2, 4, 2), (6, 1, 1)), ((5, 1, 2), (2, 4, 2), (1, 1, 6))),
}

#: Drafted tokens.
LENGTHS = (1, 2, 3)


def block_vectors() -> list[dict[str, Any]]:
    """Block verification of every path of positive probability, for models that remember a token.

    Returns:
        JSON-ready: per problem and L the paths, each with `rows` of both models along it, `accept`
        (h_1, ..., h_L: accept up to the largest l whose coin shows heads), `residual` (the law of
        the next token after l accepted ones, l = 0..L) and `law` (P(length, token)).

    Example:
        >>> first = block_vectors()[0]["paths"][0]
        >>> first["path"], first["accept"], first["law"][:2]
        ([0], [0.3333333333333333], [[0, 1, 0.6666666666666666], [1, 0, 0.08333333333333333]])
    """
    return [_problem(name, *rows, length) for name, rows in _MARKOV.items() for length in LENGTHS]


def _problem(
    name: str,
    target: Sequence[Sequence[int]],
    draft: Sequence[Sequence[int]],
    length: int,
) -> dict[str, Any]:
    size = len(target)
    p, q = (
        {
            prefix: _row(rows[prefix[-1] if prefix else 0])
            for l in range(length + 1)
            for prefix in product(range(size), repeat=l)
        }
        for rows in (target, draft)
    )
    drafted = [
        path
        for path in product(range(size), repeat=length)
        if all(q[path[:l]][token] > 0 for l, token in enumerate(path))
    ]
    pairs = [(p[prefix], q[prefix]) for prefix in p if len(prefix) < length]
    return {
        "name": name,
        "edges": edges_of_rows(pairs),
        "draft_length": length,
        "paths": [_path(p, q, path) for path in drafted],
    }


def _row(eighths: Sequence[int]) -> Row:
    return tuple(Fraction(each, 8) for each in eighths)


def _path(
    p: dict[tuple[int, ...], Row], q: dict[tuple[int, ...], Row], path: tuple[int, ...]
) -> dict[str, Any]:
    length = len(path)
    rows = [(p[path[:l]], q[path[:l]] if l < length else None) for l in range(length + 1)]
    rho = [Fraction(1)]
    for (of_target, of_draft), token in zip(rows, path, strict=False):
        assert of_draft is not None
        rho.append(min(Fraction(1), rho[-1] * of_target[token] / of_draft[token]))
    masses = [
        _excess(of_target, of_draft, share)
        for (of_target, of_draft), share in zip(rows, rho, strict=True)
    ]
    accept = [_coin(sum(masses[l]), rho[l]) for l in range(1, length)] + [rho[length]]
    law = paths.kernel(p, q, path, "block")
    drafted = prod((q[path[:l]][token] for l, token in enumerate(path)), start=Fraction(1))
    return {
        "path": list(path),
        "probability": float(drafted),
        "rows": {
            "target": [list(map(float, row)) for row, _ in rows],
            "draft": [list(map(float, row)) for _, row in rows if row is not None],
        },
        "accept": list(map(float, accept)),
        "residual": [_normalised(each) for each in masses],
        "law": [[l, token, float(mass)] for (l, token), mass in sorted(law.items()) if mass > 0],
    }


def _excess(target: Row, draft: Row | None, share: Fraction) -> list[Fraction]:
    """(share p - q)+, or p itself behind the last drafted token."""
    if draft is None:
        return list(target)
    return [max(Fraction(0), share * a - b) for a, b in zip(target, draft, strict=True)]


def _coin(left: Fraction | int, share: Fraction) -> Fraction:
    missing = left + 1 - share
    return Fraction(1) if missing == 0 else Fraction(left) / missing


def _normalised(masses: Sequence[Fraction]) -> list[float] | None:
    """The law of the next token; None where that length never is the accepted one."""
    total = sum(masses)
    return [float(each / total) for each in masses] if total else None
