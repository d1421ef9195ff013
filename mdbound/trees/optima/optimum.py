"""The largest expected length over all verifiers, by a linear program, with its certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mdbound.bounds.programs.gathered_program import GatheredProgram
from mdbound.bounds.programs.lp_backends import FEASIBILITY_TOLERANCE
from mdbound.errors import refuse_unknown
from mdbound.paths.tiny.model import Model, Prefix, row_of
from mdbound.trees.drafting.tree_law import Drafts, TreeLaw
from mdbound.trees.optima.node_sets import NodeSets, node_sets
from mdbound.trees.optima.prices import Prices, price_bound, priced_nodes


@dataclass(frozen=True)
class TreeOptimum:
    """The optimum over all verifiers of one class.

    Attributes:
        value: E tau; an upper bound for every verifier, evaluated from `prices`.
        prices: of nodes: the certificate (`trees.price_bound` evaluates it again).
        error_bound: how far below `value` the optimum may lie.
    """

    value: float
    prices: Prices
    error_bound: float


def optimal_value(
    target: Model, draft: Drafts, law: TreeLaw, state: str = "one_call"
) -> TreeOptimum:
    """The largest E tau of any verifier on trees of a law, tiny sizes.

    Args:
        target: rows of p for every node that is not a leaf.
        draft: rows of q for the same nodes; or one such model for each path.
        law: how trees are drawn; all are enumerated.
        state: `"one_call"`: a fresh target is left behind, as all verifiers here do. `"carried"`:
            the law of the next tokens may be changed; never below, and a bound on one call only.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, more trees than can be enumerated, or another state.
        UnsolvedError: HiGHS ended without an optimum.

    Source: `docs/draft-trees.md`, theorem D1; the flow form of the program.

    Example:
        >>> from mdbound import trees
        >>> row = (1 / 3, 2 / 3)
        >>> p, q = (dict.fromkeys([(), (0,), (1,)], one) for one in (row, row[::-1]))
        >>> found = [optimal_value(p, q, trees.Paths(2, 2), s) for s in ("one_call", "carried")]
        >>> [round(81 * one.value, 6) for one in found]
        [131.0, 134.0]
    """
    refuse_unknown([state], _CAPACITIES, "`state`")
    trees = node_sets(target, draft, law)
    nodes = priced_nodes(target, trees, law.depth)
    program = GatheredProgram()
    accepted = {
        node: program.column(-1.0, float(mass) if state == "carried" else 1.0)
        for node, mass in nodes.items()
        if node
    }
    rows = _flows(program, trees, accepted)
    _CAPACITIES[state](program, target, accepted)
    solution = program.solve()
    reached = -program.least(solution)
    prices = {node: float(solution.row_duals[row]) for node, row in rows.items()}
    value = float(price_bound(target, trees, prices, law.depth, state))
    # HiGHS lets every row miss by its tolerance; each node's mass is one row.
    slack = FEASIBILITY_TOLERANCE * (len(rows) + 1)
    return TreeOptimum(value, prices, abs(value - reached) + slack)


def _flows(
    program: GatheredProgram, trees: NodeSets, accepted: dict[Prefix, int]
) -> dict[Prefix, int]:
    """Each tree's mass goes to its nodes, each node gets what is accepted exactly there.

    Returns:
        The row of each node. The context's is left out, since it follows from the others, and one
        row too many can make HiGHS call the program infeasible.
    """
    into: dict[Prefix, list[tuple[int, float]]] = {node: [] for node in accepted}
    for nodes, mass in trees.items():
        own = []
        for node in nodes:
            if not node or node in accepted:
                column = program.column(0.0)
                own.append((column, 1.0))
                if node:
                    into[node].append((column, 1.0))
        program.equality(float(mass), own)
    rows = {}
    for node, column in accepted.items():
        below = [(other, 1.0) for child, other in accepted.items() if child[:-1] == node]
        rows[node] = program.equality(0.0, [*into[node], (column, -1.0), *below])
    return rows


def _one_call(program: GatheredProgram, target: Model, accepted: dict[Prefix, int]) -> None:
    """a(xt) <= p(t|x) a(x): the length is a stopping time of the target."""
    for node, column in accepted.items():
        share = float(row_of(target, node[:-1], "target")[node[-1]])
        if len(node) == 1:
            program.row([(column, 1.0)], upper=share)
        else:
            program.row([(column, 1.0), (accepted[node[:-1]], -share)], upper=0.0)


def _carried(program: GatheredProgram, target: Model, accepted: dict[Prefix, int]) -> None:
    """a(x) <= p(x), which the columns keep by themselves."""


_CAPACITIES: dict[str, Callable[[GatheredProgram, Model, dict[Prefix, int]], None]] = {
    "one_call": _one_call,
    "carried": _carried,
}
"""What limits the mass accepted at or below a node, by class of verifiers."""
