"""Draft trees: is a verifier lossless, given its law of (accepted node, next token)?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from mdbound.audit.calls import Numbers, call, rows_for
from mdbound.audit.exact.finding import TOLERANCE, Audited, Finding, malformed
from mdbound.audit.exact.laws import FaultyLawError, read_law, token_reader
from mdbound.audit.exact.simpler_models import given_models, model_size, simpler_models
from mdbound.audit.exact.text import Blocks, add_blocks, examine_text
from mdbound.audit.problems.models import ModelProblem, Rows, tree_problems
from mdbound.audit.report import AuditReport
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, TreeLaw, optimal_value

TreeVerifier: TypeAlias = Callable[[Any, Any, DraftedTree], Any]
"""From rows of target and draft by node and the tree to {(accepted node, token): probability}."""

_MOST_TREES_OF_A_BOUND = 100
"""The program of the bound has a row for every tree: with more it takes longer than the audit."""


def exact_tree(
    verifier: TreeVerifier,
    law: TreeLaw,
    *,
    numbers: Numbers = "float",
    tolerance: float = TOLERANCE,
    problems: Sequence[ModelProblem] | None = None,
) -> AuditReport:
    """Audit a rule that verifies a draft tree, given its probabilities.

    Args:
        verifier: `verifier(target, draft, tree) -> {(accepted node, token): probability}`: rows by
            node (a tuple of tokens, `()` the context), the target's at leaves, too;
            `tree.drafted` has the tokens drafted after each internal node in the order of their
            draws, repeats included.
        law: how trees are drawn; all of them are enumerated.
        numbers: rows as `"float"` (float64 arrays) or `"fraction"` (tuples of Fraction).
        tolerance: largest total variation, over texts of L + 1 tokens, that is rounding.
        problems: instead of the battery.

    Returns:
        A report; where trees are few, each problem says how many drafted tokens are put out beside
        the most that a lossless rule reaches (the program of D1, docs/draft-trees.md).

    Raises:
        AuditError: the rule raised.
        InvalidSettingError: a law with too many trees.

    Example:
        >>> from mdbound import audit, trees
        >>> law = trees.Paths(2, 1)
        >>> print(audit.exact_tree(audit.tree_rule("gbv", law), law, numbers="fraction"))
        lossless: the output has the target's law exactly, on 14 problems of 2 paths of 1 tokens
    """
    chosen = tree_problems(law) if problems is None else tuple(problems)
    least = Fraction(tolerance)
    kind = Audited(
        lambda problem: _examine(verifier, law, problem, numbers, least),
        lambda problem: simpler_models(problem, shorter=False),
        model_size,
        lambda problem: _bound(law, problem),
        lambda problem: {**given_models(problem), "law": law.title()},
    )
    return kind.audit(chosen, tolerance, f"problems of {law.title()}")


def _examine(
    verifier: TreeVerifier,
    law: TreeLaw,
    problem: ModelProblem,
    numbers: Numbers,
    tolerance: Fraction,
) -> Finding:
    target, draft = (_rows(rows, numbers) for rows in (problem.target, problem.draft))
    blocks: Blocks = {}
    accepted = Fraction(0)
    for tree, mass in law.trees(problem.draft):
        share_of_tree = Fraction(mass)
        if share_of_tree == 0:
            continue
        nodes = {(), *tree.nodes()}
        where = f"tree {tree.drafted}"
        found = call(verifier, (target, draft, tree), f"{problem.name}, {where}")
        try:
            outcomes = read_law(found, _outcome_reader(problem.vocab_size, nodes), tolerance)
        except FaultyLawError as error:
            return malformed(where, str(error))
        for (node, token), share in outcomes.items():
            again = (*node, token) in nodes
            accepted += share_of_tree * share * (len(node) + again)
        add_blocks(blocks, ((each, share_of_tree * share) for each, share in outcomes.items()))
    return examine_text(problem.target, blocks, problem.length, accepted, tolerance)


def _rows(rows: Rows, numbers: Numbers) -> dict[Prefix, Any]:
    return {prefix: rows_for(row, numbers) for prefix, row in rows.items()}


def _outcome_reader(vocab_size: int, nodes: set[Prefix]) -> Callable[[Any], tuple[Prefix, int]]:
    read_token = token_reader(vocab_size)

    def read(key: Any) -> tuple[Prefix, int]:
        node, token = key
        found = tuple(map(read_token, node))
        if found not in nodes:
            raise ValueError("the accepted node is none of the tree")
        return found, read_token(token)

    return read


def _bound(law: TreeLaw, problem: ModelProblem) -> Fraction | None:
    if law.most_trees(problem.vocab_size) > _MOST_TREES_OF_A_BOUND:
        return None
    # HiGHS solves in floats; what it may be off by is added, so that no lossless rule is above.
    optimum = optimal_value(problem.target, problem.draft, law)
    return Fraction(float(optimum.value) + optimum.error_bound)
