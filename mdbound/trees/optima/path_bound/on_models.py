"""The path bound of tiny models, exactly, for any prices and any martingale; and its two forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Number, Prefix, row_of
from mdbound.trees.drafting.paths_law import Paths
from mdbound.trees.optima.node_sets import node_sets
from mdbound.trees.optima.prices import Prices, priced_nodes

NodeNumbers = Mapping[Prefix, Number]
"""A number for each node but the context, by node."""


def path_bound(
    target: Model, draft: Model, law: Paths, prices: Prices, martingale: NodeNumbers | None = None
) -> Number:
    """An upper bound on E tau of every verifier that leaves a fresh target behind.

    With f the prices, chi the martingale, T the drafted tree and y text of the target it is
    E_T[max of f over T] - f(()) + E_y R_0(y), where

    - R_{L-1} = sum over t of p(t|y_1..L-1) (1 + f(y_1..L-1) - f(y_1..L-1 t))+,
    - R_d = (1 + f(y_1..d) - f(y_1..d+1) + R_{d+1})+, less, for d >= 1,
      chi(y_1..d+1) - sum over t of p(t|y_1..d) chi(y_1..d t).

    It needs no more than drafted paths and texts one by one, so that captures estimate it without
    bias. Up to L = 2 it is `price_bound`; beyond, it is never below, and equal for chi the
    positive parts of that bound.

    Args:
        target: rows of p for every node that is not a leaf.
        draft: rows of q for the same nodes.
        law: K i.i.d. paths.
        prices: f, of every node that can be drafted and reached.
        martingale: chi by the node that its token leads to; 0 where it is missing.

    Returns:
        A Fraction where rows, prices and martingale are.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a node without a price that needs one, or more trees than can be
            enumerated.

    Example:
        >>> model = {(): (0.5, 0.5)}
        >>> path_bound(model, model, Paths(1, 1), {(0,): 0.0, (1,): 0.0})
        1.0
    """
    trees = node_sets(target, draft, law)
    known = {(): 0} | dict(prices)
    missing = [node for node in priced_nodes(target, trees, law.depth) if node not in known]
    if missing:
        raise InvalidSettingError(
            f"`prices` has no price of {missing[0]}, which can be drafted and reached: without it "
            "the sum bounds nothing; give one"
        )
    drafted = sum(
        mass * max(known[node] for node in nodes if node in known) for nodes, mass in trees.items()
    )
    walk = _Walk(target, known, martingale or {}, law.depth)
    text = sum(mass * walk.rest(y, 0) for y, mass in walk.texts((), 1))
    return drafted - known[()] + text


@dataclass(frozen=True)
class _Walk:
    """The second term, text by text."""

    target: Model
    prices: Mapping[Prefix, Number]
    martingale: NodeNumbers
    depth: int

    def texts(self, node: Prefix, mass: Number) -> Iterator[tuple[Prefix, Number]]:
        """Texts of L - 1 tokens and their probabilities."""
        if len(node) == self.depth - 1:
            yield node, mass
            return
        for token, share in enumerate(row_of(self.target, node, "target")):
            if share > 0:
                yield from self.texts((*node, token), mass * share)

    def rest(self, y: Prefix, d: int) -> Number:
        """R_d of a text."""
        node = y[:d]
        if d == self.depth - 1:
            row = row_of(self.target, node, "target")
            return sum(
                share * max(0, 1 + self._rise(node, (*node, token)))
                for token, share in enumerate(row)
                if share > 0 and node in self.prices and (*node, token) in self.prices
            )
        below = y[: d + 1]
        gained: Number = 0
        if node in self.prices and below in self.prices:  # else it is never drafted
            gained = max(0, 1 + self._rise(node, below) + self.rest(y, d + 1))
        return gained - (self._noise(node, below) if d >= 1 else 0)

    def _rise(self, node: Prefix, below: Prefix) -> Number:
        return self.prices[node] - self.prices[below]

    def _noise(self, node: Prefix, below: Prefix) -> Number:
        row = row_of(self.target, node, "target")
        mean = sum(
            share * self.martingale.get((*node, token), 0)
            for token, share in enumerate(row)
            if share > 0
        )
        return self.martingale.get(below, 0) - mean


def psi_prices(target: Model, psi: NodeNumbers, depth: int) -> dict[Prefix, Number]:
    """Prices of the psi form: f(xt) = f(x) + 1 - psi(xt) + c(xt), c the target's mean of psi below.

    With psi for the martingale, too, the text's part of the bound is c(()): no text is needed.

    Args:
        target: rows of p for every node that is not a leaf.
        psi: numbers of 0 or more, of every node but the context.
        depth: L.

    Raises:
        InvalidSettingError: a number below 0, or a missing one.

    Example:
        >>> psi_prices({(): (0.5, 0.5)}, {(0,): 0.25, (1,): 1.0}, 1)
        {(): 0, (0,): 0.75, (1,): 0.0}
    """
    means = {node: _mean(target, psi, node) for node in _inner(target, depth)}
    prices: dict[Prefix, Number] = {(): 0}
    for node in means:
        for token in range(len(target[node])):
            below = (*node, token)
            if psi[below] < 0:
                raise InvalidSettingError(f"`psi` of {below} is {psi[below]}: give 0 or more")
            prices[below] = prices[node] + 1 - psi[below] + means.get(below, 0)
    return prices


def gate_prices(
    target: Model,
    eta: NodeNumbers,
    kappa: NodeNumbers,
    worth: NodeNumbers,
    psi: NodeNumbers,
    depth: int,
) -> dict[Prefix, Number]:
    """Prices of the gate form: f(xt) = f(x) + 1 - eta(xt) + kappa(xt) worth(xt) above the leaves.

    At leaves it is f(x) + 1 - psi(xt).

    Args:
        target: rows of p for every node that is not a leaf; what nodes there are.
        eta: numbers of nodes of depth 1 to L - 1.
        kappa: likewise.
        worth: likewise; m in the theorem.
        psi: numbers of leaves.
        depth: L.

    Example:
        >>> gate_prices({(): (0.5, 0.5)}, {}, {}, {}, {(0,): 0.25, (1,): 1.0}, 1)
        {(): 0, (0,): 0.75, (1,): 0.0}
    """
    prices: dict[Prefix, Number] = {(): 0}
    for node in _inner(target, depth):
        for token in range(len(target[node])):
            below = (*node, token)
            step = -psi[below] if len(below) == depth else kappa[below] * worth[below] - eta[below]
            prices[below] = prices[node] + 1 + step
    return prices


def _inner(target: Model, depth: int) -> list[Prefix]:
    """Nodes above the leaves that the model has rows of, the context first."""
    return sorted((node for node in target if len(node) < depth), key=len)


def _mean(target: Model, numbers: NodeNumbers, node: Prefix) -> Number:
    row = row_of(target, node, "target")
    try:
        return sum(share * numbers[(*node, token)] for token, share in enumerate(row))
    except KeyError as error:
        raise InvalidSettingError(
            f"`psi` has no number of {error.args[0]}: give one for every node but the context"
        ) from error
