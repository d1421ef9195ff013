"""The sum over depths of the optimum of that depth alone: an upper bound in both classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdbound.bounds.programs.gathered_program import GatheredProgram
from mdbound.paths.tiny.model import Model, Number, Prefix, sequences
from mdbound.trees.drafting.paths_law import Paths
from mdbound.trees.drafting.tree_law import Drafts, TreeLaw
from mdbound.trees.optima.node_sets import node_sets, target_masses


def depth_bound(target: Model, draft: Drafts, law: TreeLaw) -> Number:
    """S: the sum over d of 1 + min over sets H of strings of d tokens of p(H) - F(H).

    F(H) is the probability that all nodes of depth d lie in H. No verifier of either class has a
    larger E tau. For i.i.d. paths H runs through the prefixes of the order q/p, F is q(H)^K, and
    fractions give a fraction; for other laws each depth is a transport program (HiGHS).

    Args:
        target: rows of p for every node that is not a leaf.
        draft: rows of q for the same nodes; or one such model for each path.
        law: how trees are drawn.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, or more trees than can be enumerated.
        UnsolvedError: HiGHS ended without an optimum.

    Example:
        >>> from fractions import Fraction
        >>> from mdbound import trees
        >>> row = (Fraction(1, 3), Fraction(2, 3))
        >>> p, q = (dict.fromkeys([(), (0,), (1,)], one) for one in (row, row[::-1]))
        >>> str(depth_bound(p, q, trees.Paths(2, 2)))
        '134/81'
    """
    if isinstance(law, Paths) and isinstance(draft, Mapping):
        return sum(
            _iid_strings(target, draft, depth, law.num_paths) for depth in range(1, law.depth + 1)
        )
    trees = node_sets(target, draft, law)
    masses = target_masses(target, law.depth)
    return sum(_transport(trees, masses, depth) for depth in range(1, law.depth + 1))


def _iid_strings(target: Model, draft: Model, depth: int, num_paths: int) -> Number:
    p = dict(sequences(target, depth, "target"))
    q = dict(sequences(draft, depth, "draft"))
    # Strings that the draft cannot give never help: they come last in the order.
    order = sorted(q, key=lambda string: p.get(string, 0) / q[string])
    best: Number = 0
    inside_target: Number = 0
    inside_draft: Number = 0
    for string in order:
        inside_target += p.get(string, 0)
        inside_draft += q[string]
        best = min(best, inside_target - inside_draft**num_paths)
    return 1 + best


def _transport(trees: Any, masses: dict[Prefix, Number], depth: int) -> float:
    """The largest mass of pairs (tree, string of the tree), by the same duality."""
    program = GatheredProgram()
    into: dict[Prefix, list[tuple[int, float]]] = {}
    for nodes, mass in trees.items():
        own = []
        for node in nodes:
            if len(node) == depth and node in masses:
                column = program.column(-1.0)
                own.append((column, 1.0))
                into.setdefault(node, []).append((column, 1.0))
        program.row(own, upper=float(mass))
    for node, terms in into.items():
        program.row(terms, upper=float(masses[node]))
    return -program.least(program.solve())
