"""UniVer on greedy lists: the most likely tokens and one draw, verified from the leaves up."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from mdbound.paths.tiny.model import Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.rows import Array, Rows, normalised, one_draft, positive_part, share
from mdbound.trees.verifiers.steps import Step, SteppingVerifier, Steps
from mdbound.trees.verifiers.verifier import DraftRows


class UniVer(SteppingVerifier):
    """Verify the drawn token's subtree first, then those of the most likely tokens in order.

    At a node of weight w, with z the drawn token, h its law and Z the sum of (h - w p)+, the
    subtree of z is accepted with m(z) = min(1, w p(z)/h(z)), that of a token k of the top with
    (1 - m(z)) w p(k) / Z; a child's weight is that over what its elder siblings left. On a chain it
    is block verification.

    Source: 2605.04543, as in one third-party kernel for greedy lists.
    """

    name: ClassVar[str] = "univer"
    title: ClassVar[str] = "UniVer"
    samplings: ClassVar[tuple[str, ...]] = ("greedy",)

    def steps(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> Steps:
        """See `SteppingVerifier.steps`."""
        return _subtree((), 1, target, one_draft(draft, self.name), tree)


def _subtree(node: Prefix, weight: Any, target: Rows, draft: Rows, tree: DraftedTree) -> Steps:
    if node not in tree.drafted:
        yield Step(node, weight, partial(target.__getitem__, node))
        return
    *top, drawn = tree.drafted[node]
    one = 1 + target[node][0] * 0  # a fraction where rows hold fractions: 0 / 1 of ints is a float
    weight = one * weight
    wanted = weight * target[node]
    law = _rest(draft[node], top)
    excess, deficit = positive_part(wanted - law), positive_part(law - wanted).sum()
    first = share(wanted[drawn], law[drawn])
    masses = {drawn: first} | {
        token: (1 - first) * wanted[token] / deficit if deficit > 0 else 0 for token in top
    }
    left = one
    for token, mass in masses.items():
        below = min(1, mass / left) if left > 0 else 0
        yield from _subtree((*node, token), below, target, draft, tree)
        left = left - mass
    excess[top] = excess[top] * 0
    stays = excess.sum()
    goes = 1 - weight
    accept = stays / (stays + goes) if node and stays + goes > 0 else 1
    yield Step(node, accept, partial(_either, excess, target[node]))


def _rest(row: Array, top: list[int]) -> Array:
    """The row without the most likely tokens, renormalised."""
    rest = row.copy()
    rest[top] = rest[top] * 0
    return normalised(rest, rest)


def _either(weights: Array, instead: Array) -> Array:
    return weights if weights.any() else instead
