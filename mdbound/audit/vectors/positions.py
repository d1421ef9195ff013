"""Reference vectors of one position: optima, rates, and laws of the output given the drafts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from mdbound import bounds, schemes
from mdbound.audit.ours import sampling_of
from mdbound.audit.problems.positions import PositionProblem, Row, position_problems
from mdbound.audit.vectors.edges import edges
from mdbound.audit.vectors.numbers import number
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError

#: Drafted tokens per problem.
NUM_DRAFTS = (1, 2, 3)

_SEARCHED = ("k_seq_membership",)
"""Schemes whose numbers depend on a search, and so in their last digits on the machine."""

_IDENTICAL_LAWS = ("with_replacement", "without_replacement", "greedy")
_UNITS = 64
"""Random rows are multiples of 1/64: exact in floats of any size."""


def position_pairs(seed: int, random_problems: int) -> dict[str, tuple[Row, Row]]:
    """Rows of target and draft by name: the audit's, and random ones.

    Example:
        >>> list(position_pairs(0, 1))[-1]
        'random 0'
    """
    named = {each.name: (each.target, each.drafts[0]) for each in position_problems(1)}
    dice = random.Random(f"mdbound vectors {seed}")
    for count in range(random_problems):
        size = dice.randint(3, 5)
        named[f"random {count}"] = (_random_row(dice, size), _random_row(dice, size))
    return named


def _random_row(dice: random.Random, size: int) -> Row:
    thrown = [dice.randrange(size) for _ in range(_UNITS)]
    return tuple(Fraction(thrown.count(token), _UNITS) for token in range(size))


def position_vectors(seed: int, random_problems: int) -> list[dict[str, Any]]:
    """Every pair of rows solved for each draft law, scheme and n, ready for JSON.

    Example:
        >>> position_vectors(0, 0)[0]["bounds"][0]
        {'sampling': 'with_replacement', 'num_drafts': 1, 'acceptance': 0.6875, 'subset': [1, 2]}
    """
    return [_problem(name, *pair) for name, pair in position_pairs(seed, random_problems).items()]


def _problem(name: str, target: Row, draft: Row) -> dict[str, Any]:
    p, q = (np.array([float(mass) for mass in row]) for row in (target, draft))
    return {
        "name": name,
        "edges": edges(target, draft),
        "target": p.tolist(),
        "draft": q.tolist(),
        "bounds": [_bound(p, q, n, law) for law in _IDENTICAL_LAWS for n in NUM_DRAFTS],
        "schemes": [
            rate
            for scheme in schemes.names()
            if scheme not in _SEARCHED
            for n in NUM_DRAFTS
            for rate in _rates(scheme, (p, q), (target, draft), n)
        ],
    }


def _bound(p: FloatArray, q: FloatArray, n: int, law: str) -> dict[str, Any]:
    solution = bounds.solve(p, q, n, law)
    return {
        "sampling": law,
        "num_drafts": n,
        "acceptance": number(solution.acceptance),
        "subset": solution.subset.tolist(),
    }


def _rates(
    name: str, floats: tuple[FloatArray, FloatArray], rows: tuple[Row, Row], n: int
) -> Iterator[dict[str, Any]]:
    scheme = schemes.get(name)
    if not scheme.supports(n):
        return
    rate = scheme.acceptance(*floats, n)
    if rate.standard_error == 0.0:
        yield {
            "scheme": name,
            "sampling": scheme.sampling,
            "num_drafts": n,
            "accept": number(rate.accept),
            "membership": number(rate.membership),
            "branches": list(_branches(scheme, floats, rows, n)),
        }


def _branches(
    scheme: schemes.Scheme, floats: tuple[FloatArray, FloatArray], rows: tuple[Row, Row], n: int
) -> Iterator[dict[str, Any]]:
    target, draft = rows
    try:
        lists = PositionProblem("", target, (draft,) * n, sampling_of(scheme.name)).lists
    except InvalidSettingError:
        return  # SpecHub drafts no pairs from a point mass
    for drafted, mass in lists:
        yield {
            "drafted": list(drafted),
            "probability": float(mass),
            "output": _law(scheme.output_law(*floats, drafted)),
        }


def _law(law: dict[int, float]) -> dict[str, float]:
    return {str(token): number(mass) for token, mass in law.items() if number(mass) > 0.0}
