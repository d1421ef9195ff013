"""Simpler models to try, for the witness of a rule of several steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mdbound.audit.exact.shrink import merged, row_size, simple_rows
from mdbound.audit.numbers import written
from mdbound.audit.problems.models import ModelProblem, Rows
from mdbound.paths.tiny.model import Prefix


def model_size(problem: ModelProblem) -> tuple[Any, ...]:
    """Length, vocabulary, kinds of rows and digits.

    Example:
        >>> from mdbound.audit.problems.models import path_problems
        >>> model_size(path_problems(1)[0])[:2]
        (1, 3)
    """
    rows = [*problem.target.values(), *problem.draft.values()]
    return problem.length, problem.vocab_size, len(problem.stops), sum(map(row_size, rows))


def simpler_models(problem: ModelProblem, *, shorter: bool) -> Iterable[ModelProblem]:
    """Candidates: one step fewer, one token fewer, one row simpler.

    Args:
        problem: what to simplify.
        shorter: whether the length may change; the trees of a law have theirs.
    """
    if shorter and problem.length > 1:
        yield _cut(problem)
    if problem.stops:
        yield replace(problem, stops=frozenset())
    if problem.vocab_size > 2:
        for token in range(problem.vocab_size - 1, -1, -1):
            yield _without(problem, token)
    yield from _one_row_for_all(problem)
    for prefix in sorted(problem.target, key=lambda each: (-len(each), each)):
        for row in simple_rows(problem.vocab_size):
            if row_size(row) < row_size(problem.target[prefix]):
                yield replace(problem, target={**problem.target, prefix: row})
            if len(prefix) < problem.length and row_size(row) < row_size(problem.draft[prefix]):
                yield replace(problem, draft={**problem.draft, prefix: row})


def _cut(problem: ModelProblem) -> ModelProblem:
    length = problem.length - 1

    def kept(rows: Rows) -> Rows:
        return {prefix: row for prefix, row in rows.items() if len(prefix) <= length}

    stops = frozenset(prefix for prefix in problem.stops if len(prefix) < length)
    return replace(
        problem, target=kept(problem.target), draft=kept(problem.draft), length=length, stops=stops
    )


def _without(problem: ModelProblem, token: int) -> ModelProblem:
    """One token fewer; what stood behind it is left out."""
    into = 0 if token else 1

    def renamed(prefix: Prefix) -> Prefix:
        return tuple(each - (each > token) for each in prefix)

    def kept(rows: Rows) -> Rows:
        return {
            renamed(prefix): merged(row, token, into)
            for prefix, row in rows.items()
            if token not in prefix
        }

    stops = frozenset(renamed(prefix) for prefix in problem.stops if token not in prefix)
    return replace(problem, target=kept(problem.target), draft=kept(problem.draft), stops=stops)


def _one_row_for_all(problem: ModelProblem) -> Iterable[ModelProblem]:
    """All rows below a depth equal: a rule that fails without context is easiest to read."""
    for depth in range(problem.length, -1, -1):
        for row in simple_rows(problem.vocab_size):
            yield replace(problem, target=_level(problem.target, depth, row))
            if depth < problem.length:
                yield replace(problem, draft=_level(problem.draft, depth, row))


def _level(rows: Rows, depth: int, row: Any) -> Rows:
    return {prefix: row if len(prefix) == depth else each for prefix, each in rows.items()}


def given_models(problem: ModelProblem) -> Mapping[str, Any]:
    """Rows by prefix, as texts; the draft's after the last token are never asked for.

    Example:
        >>> from mdbound.audit.problems.models import path_problems
        >>> given_models(path_problems(1)[0])["draft"]
        {'': ['3/16', '1/2', '5/16']}
    """

    def texts(rows: Rows, deepest: int) -> dict[str, list[str]]:
        return {
            " ".join(map(str, prefix)): [written(mass) for mass in row]
            for prefix, row in rows.items()
            if len(prefix) <= deepest
        }

    given: dict[str, Any] = {
        "target": texts(problem.target, problem.length),
        "draft": texts(problem.draft, problem.length - 1),
        "length": problem.length,
    }
    if problem.stops:
        given["stops"] = [" ".join(map(str, prefix)) for prefix in sorted(problem.stops)]
    return given
