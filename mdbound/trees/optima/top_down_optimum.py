"""The best rule that works node by node from the context down, by one program at each node."""

from __future__ import annotations

from typing import Any, ClassVar

from mdbound.bounds.programs.gathered_program import GatheredProgram
from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Number, Prefix, row_of
from mdbound.trees.drafting.node_draws import NODE_LAWS, node_law
from mdbound.trees.drafting.tree_law import Drafts, NodewiseLaw, TreeLaw
from mdbound.trees.verifiers.verifier import TreeVerifier


class TopDownOptimum(TreeVerifier):
    """At each node the rule whose outputs are worth most, a child being worth what is below it.

    The rule of a node sees the tokens drafted there and knows the models, so that it can prefer
    children below which more is accepted. It is a bound for every scheme of one position used node
    by node; not for verifiers that look at deeper tokens first.
    """

    name: ClassVar[str] = "top_down_optimum"
    title: ClassVar[str] = "best rule node by node"
    samplings: ClassVar[tuple[str, ...]] = tuple(NODE_LAWS)

    def expected_length(self, target: Model, draft: Drafts, law: TreeLaw) -> Number:
        """E tau, a float; its rules are known as programs only, so that it cannot be run."""
        if not isinstance(law, NodewiseLaw):
            raise InvalidSettingError(
                f"`verifier` {self.name!r} is for trees whose nodes are drafted independently, not "
                f"for {law.title()}: there the sum of p over drafted nodes is the optimum, which "
                "'nss' reaches"
            )
        return _value(target, draft, law, (), law.root())


def _value(target: Model, draft: Drafts, law: NodewiseLaw[Any], node: Prefix, state: Any) -> float:
    """E of tokens accepted below a node, given that the rule came to it."""
    if not law.num_draws(state):
        return 0.0
    worth: dict[tuple[int, Any], float] = {}
    program = GatheredProgram()
    into: dict[int, list[tuple[int, float]]] = {}
    p = row_of(target, node, "target")
    for drafted, mass in node_law(law.sampling).lists(law.rows(draft, node, state)):
        own = []
        for token in dict.fromkeys(drafted):
            if not p[token] > 0:
                continue
            child = law.child(state, drafted, token)
            if (token, child) not in worth:
                worth[token, child] = 1.0 + _value(target, draft, law, (*node, token), child)
            column = program.column(-worth[token, child])
            own.append((column, 1.0))
            into.setdefault(token, []).append((column, 1.0))
        program.row(own, upper=float(mass))
    for token, terms in into.items():
        program.row(terms, upper=float(p[token]))
    return -program.least(program.solve()) if into else 0.0
