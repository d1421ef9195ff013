"""Oracle of the coupling rule that carries state: what it hands to the next call, in fractions.

A call couples its path with the next L tokens of its target so that their common prefix is longest,
and emits that prefix and one token. What is left of the target below that token is the target of
the next call. One row of the fresh target and one of the draft hold in every context.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from tests.oracles.path_verification import ONE, ZERO, Prefix, Row

State = dict[Prefix, Row]
"""Rows that differ from the fresh target's, by tokens since the call's start."""


def _mass(row: Row, state: State, text: Prefix) -> Fraction:
    mass = ONE
    for place, token in enumerate(text):
        mass *= state.get(text[:place], row)[token]
    return mass


def call(
    target: Row, draft: Row, state: State, length: int
) -> list[tuple[Prefix, Fraction, State]]:
    """What one call emits, with its probability and the state after it."""
    tokens = range(len(target))

    def wanted(w: Prefix) -> Fraction:
        return _mass(target, state, w)

    def left(w: Prefix) -> Fraction:
        return max(ZERO, wanted(w) - _mass(draft, {}, w))

    def common(w: Prefix) -> Fraction:
        return min(wanted(w), _mass(draft, {}, w))

    found: list[tuple[Prefix, Fraction, State]] = []
    for size in range(length):
        for w in itertools.product(tokens, repeat=size):
            stop = common(w) - sum((common((*w, y)) for y in tokens), ZERO)
            total = sum((left((*w, y)) for y in tokens), ZERO)
            for y in tokens:
                if stop and left((*w, y)):
                    block = (*w, y)
                    later: State = {}
                    for more in range(length - len(block)):
                        for u in itertools.product(tokens, repeat=more):
                            weights = [left((*block, *u, z)) for z in tokens]
                            if sum(weights):
                                later[u] = tuple(one / sum(weights) for one in weights)
                    found.append((block, stop * left(block) / total, later))
    for w in itertools.product(tokens, repeat=length):
        found += [((*w, y), common(w) * target[y], {}) for y in tokens if common(w)]
    return found


def expected_calls(
    target: Row, draft: Row, length: int, tokens: int, state: State | None = None
) -> Fraction:
    """E[calls] until N tokens are emitted."""
    if tokens <= 0:
        return ZERO
    return ONE + sum(
        (
            mass * expected_calls(target, draft, length, tokens - len(block), later)
            for block, mass, later in call(target, draft, state or {}, length)
        ),
        ZERO,
    )


def written(
    target: Row, draft: Row, length: int, tokens: int, state: State | None = None
) -> dict[Prefix, Fraction]:
    """The law of the first N tokens of the text."""
    if tokens <= 0:
        return {(): ONE}
    law: dict[Prefix, Fraction] = {}
    for block, mass, later in call(target, draft, state or {}, length):
        rest = written(target, draft, length, tokens - len(block), later)
        for text, one in rest.items():
            whole = (*block, *text)[:tokens]
            law[whole] = law.get(whole, ZERO) + mass * one
    return law
