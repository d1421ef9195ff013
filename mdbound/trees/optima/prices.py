"""Prices of nodes, and the bound that any prices give: the dual of the optimum over verifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.paths.tiny.model import Model, Number, Prefix, row_of
from mdbound.trees.optima.node_sets import NodeSets, target_masses

Prices: TypeAlias = Mapping[Prefix, Number]
"""A price for each node that can be drafted and that the target can reach; the context's is 0
where it is missing. Others need none: they are never accepted."""


def price_bound(target: Model, trees: NodeSets, prices: Prices, depth: int, state: str) -> Number:
    """An upper bound on E tau of every verifier, whatever the prices are.

    Nodes that cannot be drafted need no price, nor do those that the target cannot reach.

    With f the prices, T the drafted tree and y text of the target:

    - `"carried"`: E_T[max of f over T] + E_y[max over d of d - f(y_1..d)];
    - `"one_call"`: E_T[max of f over T] - f(()) + M(()), where M(x) is the sum over tokens t of
      p(t|x) (1 + f(x) - f(xt) + M(xt))+, and 0 at leaves: stopping the target with one token of
      look-ahead.

    Args:
        target: rows of p for every node that is not a leaf.
        trees: `node_sets` of the draft law.
        prices: f.
        depth: L.
        state: `"one_call"` or `"carried"`.

    Returns:
        A Fraction where rows and prices are.

    Raises:
        InvalidSettingError: another state, or a node without a price that needs one.

    Example:
        >>> model = {(): (0.5, 0.5)}
        >>> price_bound(model, {frozenset([(), (0,)]): 1.0}, {(0,): 0.0, (1,): 1.0}, 1, "one_call")
        0.5
    """
    refuse_unknown([state], _TEXT_TERMS, "`state`")
    known = {(): 0} | dict(prices)
    missing = [node for node in priced_nodes(target, trees, depth) if node not in known]
    if missing:
        raise InvalidSettingError(
            f"`prices` has no price of {missing[0]}, which can be drafted and reached: without it "
            "the sum bounds nothing; give one"
        )
    drafted = sum(
        mass * max(known[node] for node in nodes if node in known) for nodes, mass in trees.items()
    )
    return drafted + _TEXT_TERMS[state](target, known, depth)


def _one_call(target: Model, prices: Prices, depth: int) -> Number:
    def later(node: Prefix) -> Number:
        if len(node) == depth:
            return 0
        return sum(
            share * max(0, 1 + prices[node] - prices[below] + later(below))
            for token, share in enumerate(row_of(target, node, "target"))
            if share > 0 and (below := (*node, token)) in prices
        )

    return later(()) - prices[()]


def _carried(target: Model, prices: Prices, depth: int) -> Number:
    def later(node: Prefix, best: Number) -> Number:
        """E of the best so far and below, given that the text begins with the node."""
        if node in prices:
            best = max(best, len(node) - prices[node])
        if len(node) == depth:
            return best
        return sum(
            share * later((*node, token), best)
            for token, share in enumerate(row_of(target, node, "target"))
            if share > 0
        )

    return later((), -prices[()])


_TEXT_TERMS: dict[str, Callable[[Model, Prices, int], Number]] = {
    "one_call": _one_call,
    "carried": _carried,
}
"""What the target's text adds, by what a verifier may hand to the next call."""


def priced_nodes(target: Model, trees: NodeSets, depth: int) -> dict[Prefix, Number]:
    """Nodes that can be drafted and reached, with p(x); the context first.

    Example:
        >>> model = {(): (0.5, 0.5)}
        >>> priced_nodes(model, {frozenset([(), (0,)]): 1.0}, 1)
        {(): 1, (0,): 0.5}
    """
    drafted = frozenset().union(*trees)
    masses = target_masses(target, depth)
    return {node: mass for node, mass in masses.items() if node in drafted}
