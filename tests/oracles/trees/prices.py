"""What a price of every node proves: a bound on every verifier, text by text and tree by tree."""

from __future__ import annotations

from collections.abc import Mapping

from tests.oracles.path_verification import Prefix, mass_of, paths_of
from tests.oracles.trees.cases import Case
from tests.oracles.trees.dice import ZERO, Number

Prices = Mapping[Prefix, Number]


def bound(case: Case, given: Prices, state: str) -> Number:
    """Price of the dearest drafted node, and what the target's text leaves to gain.

    Every node that is drafted and that the text can reach must have a price. Those that are never
    drafted may cost anything, so that nobody stops there; those that no text reaches cost nothing.
    """
    prices = {(): ZERO, **given}
    dearest = ZERO
    for nodes, mass in case.node_sets().items():
        reached = [node for node in nodes if mass_of(case.target, (), node)]
        dearest += mass * max(prices[node] for node in ((), *reached))
    return dearest + GAINS[state](case, prices)


def prophet(case: Case, prices: Prices) -> Number:
    """A prophet reads the whole text and stops where depth less price is largest."""
    gain = ZERO
    for text, mass in paths_of(case.target, (), case.length):
        begun = [text[:d] for d in range(case.length + 1)]
        gain += mass * max(len(node) - prices[node] for node in begun if node in prices)
    return gain


def stopper(case: Case, prices: Prices) -> Number:
    """Who stops sees one token ahead: the one that corrects."""

    def more(node: Prefix) -> Number:
        """What going on may gain over stopping here, before the next token is seen."""
        gain = ZERO
        for token, mass in enumerate(case.target[node]):
            below = (*node, token)
            if len(node) < case.length and below in prices:
                on = 1 + prices[node] - prices[below] + more(below)
                gain += mass * max(ZERO, on)
        return gain

    return more(()) - prices[()]


GAINS = {"carried": prophet, "one_call": stopper}
