"""Reference vectors of draft trees: for every tree that can be drawn, what each verifier does."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from mdbound import trees
from mdbound.audit.problems.models import ModelProblem, Rows, tree_problems
from mdbound.audit.vectors.edges import edges_of_rows
from mdbound.audit.vectors.numbers import number
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, RunnableVerifier, TreeLaw
from mdbound.trees.verifiers.rows import RowArrays
from mdbound.trees.verifiers.selected_path import SelectingVerifier
from mdbound.trees.verifiers.steps import SteppingVerifier

LAWS: dict[str, TreeLaw] = {
    "2 paths of 1": trees.Paths(2, 1),
    "2 paths of 2": trees.Paths(2, 2),
    "2x1 without replacement": trees.Branching((2, 1), sampling="without_replacement"),
}
"""By name; two tokens suffice for shapes, three for rules to differ."""

_PROBLEMS = ("rows that change with the prefix", "residuals on several tokens", "zeros in both")
"""Of the audit's battery: others would make the file larger and find nothing new."""


def tree_vectors() -> list[dict[str, Any]]:
    """Every tree of some small problems, with each verifier's law, coins and residuals.

    Example:
        >>> first = tree_vectors()[0]
        >>> first["law"], first["trees"][0]["drafted"]
        ('2 paths of 1', {'': [0, 0]})
    """
    return [
        _problem(name, law, problem)
        for name, law in LAWS.items()
        for problem in tree_problems(law)
        if problem.name in _PROBLEMS
    ]


def _problem(name: str, law: TreeLaw, problem: ModelProblem) -> dict[str, Any]:
    verifiers = {
        each: verifier
        for each in trees.names()
        if isinstance(verifier := trees.verifier(each), RunnableVerifier)
        and verifier.law_is_exact
        and verifier.suits(law)
    }
    rows = RowArrays(problem.target, "target"), RowArrays(problem.draft, "draft")
    inner = {node: row for node, row in problem.draft.items() if len(node) < problem.length}
    return {
        "name": problem.name,
        "edges": edges_of_rows([(problem.target[node], row) for node, row in inner.items()]),
        "law": name,
        "draft_length": problem.length,
        "rows": {"target": _rows(problem.target), "draft": _rows(inner)},
        "expected_length": {
            each: number(trees.expected_length(problem.target, problem.draft, law, verifier))
            for each, verifier in verifiers.items()
        },
        "trees": [
            _tree(rows, tree, Fraction(mass), verifiers)
            for tree, mass in law.trees(problem.draft)
            if mass > 0
        ],
    }


def _tree(
    rows: tuple[RowArrays, RowArrays],
    tree: DraftedTree,
    mass: Fraction,
    verifiers: dict[str, RunnableVerifier],
) -> dict[str, Any]:
    return {
        "drafted": {_node(node): list(tokens) for node, tokens in tree.drafted.items()},
        "probability": float(mass),
        "verifiers": {
            name: {
                "law": [
                    [_node(node), token, number(share)]
                    for (node, token), share in sorted(verifier.outcomes(*rows, tree).items())
                    if number(share) > 0.0
                ],
                **_inside(verifier, *rows, tree),
            }
            for name, verifier in verifiers.items()
        },
    }


def _inside(verifier: RunnableVerifier, p: Any, q: Any, tree: DraftedTree) -> dict[str, Any]:
    """Coins and residuals, or the selected path and its rows: what a kernel computes on the way."""
    if isinstance(verifier, SteppingVerifier):
        return {"steps": list(_steps(verifier, p, q, tree))}
    if isinstance(verifier, SelectingVerifier):
        count = len(tree.drafted[()])
        return {
            "selected": [
                {
                    "path": list(path),
                    "probability": number(mass),
                    "rows": [
                        [number(each) for each in row]
                        for row in verifier.selected_rows(p, q, path, count)
                    ],
                }
                for path, mass in sorted(verifier.winners(p, q, tree).items())
            ]
        }
    return {}


def _steps(verifier: SteppingVerifier, p: Any, q: Any, tree: DraftedTree) -> Iterator[Any]:
    for step in verifier.steps(p, q, tree):
        accept = number(step.accept)
        weights = step.correction() if accept > 0.0 else None
        total = 0 if weights is None else weights.sum()
        yield {
            "node": _node(step.node),
            "accept": accept,
            "residual": None
            if weights is None or not total > 0
            else [number(each / total) for each in weights],
        }


def _rows(rows: Rows) -> dict[str, list[float]]:
    return {_node(prefix): [float(mass) for mass in row] for prefix, row in rows.items()}


def _node(node: Prefix) -> str:
    return " ".join(map(str, node))
