"""The largest value of a linear form, in fractions: the simplex method by Bland's rule."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracles.trees.dice import ONE, ZERO, Number


def maximum(
    gains: Sequence[Number], rows: Sequence[tuple[Sequence[Number], Number]]
) -> tuple[Number, list[Number]]:
    """Of `gains @ x` over x >= 0 with `row @ x <= bound`, all bounds >= 0; and such an x.

    The answer is proved on the way out: prices >= 0 of the rows that cover every gain and cost as
    much as x is worth.
    """
    count = len(gains)
    table = [
        [*row, *(ONE if i == j else ZERO for j in range(len(rows))), bound]
        for i, (row, bound) in enumerate(rows)
    ]
    basis = [count + i for i in range(len(rows))]
    reduced = [*gains, *[ZERO] * (len(rows) + 1)]
    while True:
        enter = next((j for j, gain in enumerate(reduced[:-1]) if gain > 0), None)
        if enter is None:
            break
        leave = min(
            (i for i, line in enumerate(table) if line[enter] > 0),
            key=lambda i: (table[i][-1] / table[i][enter], basis[i]),
        )
        pivot = table[leave][enter]
        table[leave] = [one / pivot if one else one for one in table[leave]]
        for line in (*(line for i, line in enumerate(table) if i != leave), reduced):
            factor = line[enter]
            if factor:
                for j, one in enumerate(table[leave]):
                    if one:
                        line[j] -= factor * one
        basis[leave] = enter
    x = [ZERO] * (count + len(rows))
    for i, variable in enumerate(basis):
        x[variable] = table[i][-1]
    prices = [-one for one in reduced[count:-1]]
    _prove(gains, rows, x[:count], prices)
    return -reduced[-1], x[:count]


def _prove(
    gains: Sequence[Number],
    rows: Sequence[tuple[Sequence[Number], Number]],
    x: Sequence[Number],
    prices: Sequence[Number],
) -> None:
    assert all(one >= 0 for one in (*x, *prices))
    for row, bound in rows:
        assert sum(a * b for a, b in zip(row, x, strict=True)) <= bound
    for j, gain in enumerate(gains):
        assert sum(price * row[j] for price, (row, _) in zip(prices, rows, strict=True)) >= gain
    worth = sum(gain * one for gain, one in zip(gains, x, strict=True))
    assert worth == sum(price * bound for price, (_, bound) in zip(prices, rows, strict=True))
