"""What a price of every node proves: a bound on every verifier, text by text and tree by tree."""

from __future__ import annotations

from collections.abc import Mapping

from tests.oracles.path_verification import Prefix, paths_of
from tests.oracles.trees.cases import Case
from tests.oracles.trees.dice import ZERO, Number

Prices = Mapping[Prefix, Number]


def bound(case: Case, prices: Prices, state: str) -> Number:
    """Price of the dearest drafted node, and what the target's text leaves to gain."""
    dearest = ZERO
    for nodes, mass in case.node_sets().items():
        dearest += mass * max(prices.get(node, ZERO) for node in ((), *nodes))
    return dearest + GAINS[state](case, prices)


def prophet(case: Case, prices: Prices) -> Number:
    """A prophet reads the whole text and stops where depth less price is largest."""
    gain = ZERO
    for text, mass in paths_of(case.target, (), case.length):
        gain += mass * max(d - prices.get(text[:d], ZERO) for d in range(case.length + 1))
    return gain


def stopper(case: Case, prices: Prices) -> Number:
    """Who stops sees one token ahead: the one that corrects."""

    def more(node: Prefix) -> Number:
        """What going on may gain over stopping here, before the next token is seen."""
        if len(node) == case.length:
            return ZERO
        gain = ZERO
        for token, mass in enumerate(case.target[node]):
            below = (*node, token)
            on = 1 + prices.get(node, ZERO) - prices.get(below, ZERO) + more(below)
            gain += mass * max(ZERO, on)
        return gain

    return more(()) - prices.get((), ZERO)


GAINS = {"carried": prophet, "one_call": stopper}
