"""One problem ready to be drawn from: drafts, the rule's answer, and where it stands in the law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.audit.calls import call, rows_for
from mdbound.audit.exact.laws import token_reader
from mdbound.audit.exact.path import drafted_paths, most_accepted
from mdbound.audit.exact.position import position_given
from mdbound.audit.exact.simpler_models import given_models
from mdbound.audit.problems.models import ModelProblem, Rows
from mdbound.audit.problems.positions import INDEPENDENT, PositionProblem
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import AuditError
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import TreeLaw


@dataclass(frozen=True)
class Trial:
    """One problem, ready to be drawn from.

    Attributes:
        name: of the problem.
        law: of the outcomes under the target, (k,).
        run: one run: the outcome, and the drafted tokens that were put out.
        outcome: an outcome in words.
        bound: the most that a lossless rule accepts.
        given: the problem, ready for JSON.
    """

    name: str
    law: FloatArray
    run: Callable[[np.random.Generator], tuple[int, int]]
    outcome: Callable[[int], str]
    bound: float | None
    given: Mapping[str, Any]


def position_trial(sampler: Callable[..., Any], problem: PositionProblem) -> Trial:
    """A list of drafts drawn, and the token that a rule answers with."""
    size = len(problem.target)
    target = rows_for(problem.target, "float")
    drafts = [rows_for(row, "float") for row in problem.drafts]
    draft = drafts if problem.sampling == INDEPENDENT else drafts[0]
    lists = [drafted for drafted, _ in problem.lists]
    upto = np.cumsum([float(mass) for _, mass in problem.lists])

    def run(rng: np.random.Generator) -> tuple[int, int]:
        drafted = lists[_drawn(upto, rng)]
        where = f"{problem.name}, drafted {drafted}"
        token = _token(call(sampler, (target, draft, drafted, rng), where), size, where)
        return token, int(token in drafted)

    return Trial(
        problem.name,
        np.array([float(mass) for mass in problem.target]),
        run,
        lambda token: f"token {token}",
        float(problem.bound),
        position_given(problem),
    )


def path_trial(sampler: Callable[..., Any], problem: ModelProblem) -> Trial:
    """A path drawn, and the text that the output begins."""
    target, draft = (_float_rows(rows) for rows in (problem.target, problem.draft))
    found = list(drafted_paths(problem))
    paths = [path for path, _ in found]
    upto = np.cumsum([float(mass) for _, mass in found])

    def run(rng: np.random.Generator) -> tuple[int, int]:
        path = paths[_drawn(upto, rng)]
        prefixes = [path[:end] for end in range(len(path) + 1)]
        p, q = (
            np.stack([rows[each] for each in part])
            for rows, part in ((target, prefixes), (draft, prefixes[:-1]))
        )
        where = f"{problem.name}, path {path}"
        length, token = _pair(call(sampler, (p, q, path, rng), where), where)
        if not isinstance(length, int | np.integer) or not 0 <= length <= len(path):
            raise AuditError(f"the sampler accepted {length!r} of {len(path)} tokens ({where})")
        token = _token(token, problem.vocab_size, where)
        again = length < len(path) and token == path[length]
        return _text(target, problem, (*path[:length], token), rng), int(length) + int(again)

    return _text_trial(problem, run, float(most_accepted(problem)))


def tree_trial(sampler: Callable[..., Any], law: TreeLaw, problem: ModelProblem) -> Trial:
    """A tree drawn, and the text that the output begins."""
    target, draft = (_float_rows(rows) for rows in (problem.target, problem.draft))
    found = [(tree, float(mass)) for tree, mass in law.trees(problem.draft) if mass > 0]
    nodes = [{(), *tree.nodes()} for tree, _ in found]
    upto = np.cumsum([mass for _, mass in found])

    def run(rng: np.random.Generator) -> tuple[int, int]:
        number = _drawn(upto, rng)
        tree = found[number][0]
        where = f"{problem.name}, tree {tree.drafted}"
        node, token = _pair(call(sampler, (target, draft, tree, rng), where), where)
        if node not in nodes[number]:
            raise AuditError(f"the sampler accepted {node!r}, which is no node ({where})")
        token = _token(token, problem.vocab_size, where)
        again = (*node, token) in nodes[number]
        return _text(target, problem, (*node, token), rng), len(node) + again

    return _text_trial(problem, run, None)


def _text_trial(
    problem: ModelProblem,
    run: Callable[[np.random.Generator], tuple[int, int]],
    bound: float | None,
) -> Trial:
    size, depth = problem.vocab_size, problem.length + 1
    law = np.ones(1)
    prefixes: list[Prefix] = [()]
    for _ in range(depth):
        rows = [[float(mass) for mass in problem.target[prefix]] for prefix in prefixes]
        law = (law[:, None] * np.array(rows)).ravel()
        prefixes = [(*prefix, token) for prefix in prefixes for token in range(size)]

    def words(outcome: int) -> str:
        return f"text {' '.join(map(str, prefixes[outcome]))}"

    return Trial(problem.name, law, run, words, bound, given_models(problem))


def _text(
    target: Mapping[Prefix, FloatArray],
    problem: ModelProblem,
    block: Prefix,
    rng: np.random.Generator,
) -> int:
    """The number of the text of L + 1 tokens that begins with a block."""
    text = block
    while len(text) <= problem.length:
        text = (*text, _drawn(np.cumsum(target[text]), rng))
    number = 0
    for token in text:
        number = number * problem.vocab_size + token
    return number


def _drawn(upto: FloatArray, rng: np.random.Generator) -> int:
    """A place in a law, given its running sums."""
    return int(np.searchsorted(upto, rng.random() * upto[-1], side="right"))


def _float_rows(rows: Rows) -> dict[Prefix, FloatArray]:
    return {prefix: rows_for(row, "float") for prefix, row in rows.items()}


def _token(found: Any, size: int, where: str) -> int:
    try:
        return token_reader(size)(found)
    except (TypeError, ValueError):
        raise AuditError(
            f"the sampler answered {found!r} ({where}): answer with a token from 0 to {size - 1}"
        ) from None


def _pair(found: Any, where: str) -> tuple[Any, Any]:
    try:
        first, second = found
    except (TypeError, ValueError):
        raise AuditError(
            f"the sampler answered {found!r} ({where}): answer with what is accepted and the token "
            "that follows it"
        ) from None
    return first, second
