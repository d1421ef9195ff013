"""Verifiers that decide token by token: a rule for one position, and a walk down the tree."""

from __future__ import annotations

from collections.abc import Callable

from tests.oracles.path_verification import Prefix
from tests.oracles.trees.cases import Case, Tree
from tests.oracles.trees.dice import ONE, ZERO, Dice, Number

Block = tuple[Prefix, int]
"""Accepted node, and the token after it."""
Run = Callable[[Dice, Tree], Block]
Drafted = list[tuple[int, list[Number]]]
"""Token and the row it was drawn from, draw by draw."""
Rule = Callable[[Dice, list[Number], Drafted], int]


def walk(rule: Rule) -> Callable[[Case], Run]:
    """The verifier that goes on while the rule's token was drafted."""

    def verifier(case: Case) -> Run:
        def run(dice: Dice, tree: Tree) -> Block:
            node: Prefix = ()
            while node in tree.lists:
                drafted = [(t, list(case.model(k)[node])) for t, k in tree.lists[node]]
                token = rule(dice, list(case.target[node]), drafted)
                if token not in tree.tokens(node):
                    return node, token
                node = (*node, token)
            return node, dice.pick(case.target[node])

        return run

    return verifier


def left_over(p: list[Number], q: list[Number]) -> list[Number]:
    left = [max(ZERO, a - b) for a, b in zip(p, q, strict=True)]
    assert sum(left) > 0, "a sure acceptance was refused"
    return [one / sum(left) for one in left]


def nss(dice: Dice, p: list[Number], drafted: Drafted) -> int:
    return dice.pick(p)


def first_draft(dice: Dice, p: list[Number], drafted: Drafted) -> int:
    token, q = drafted[0]
    return token if dice.coin(min(ONE, p[token] / q[token])) else dice.pick(left_over(p, q))


def rrs_with_replacement(dice: Dice, p: list[Number], drafted: Drafted) -> int:
    for token, q in drafted:
        if dice.coin(min(ONE, p[token] / q[token])):
            return token
        p = left_over(p, q)
    return dice.pick(p)


def rrs_without_replacement(dice: Dice, p: list[Number], drafted: Drafted) -> int:
    assert len({token for token, _ in drafted}) == len(drafted)
    return rrs_skip_repeats(dice, p, drafted)


def rrs_skip_repeats(dice: Dice, p: list[Number], drafted: Drafted) -> int:
    """A repeat is no second chance; what is new is a draw without replacement."""
    q, seen = list(drafted[0][1]), set()
    for token, _ in drafted:
        if token in seen:
            continue
        seen.add(token)
        if dice.coin(min(ONE, p[token] / q[token])):
            return token
        p = left_over(p, q)
        q[token] = ZERO
        q = [mass / sum(q) for mass in q] if any(q) else q
    return dice.pick(p)


def greedy(dice: Dice, p: list[Number], drafted: Drafted) -> int:
    """The sampled token is tested against its law off the most likely; those are looked up."""
    sampled, q = drafted[-1]
    h = off([token for token, _ in drafted[:-1]], q)
    if dice.coin(min(ONE, p[sampled] / h[sampled])):
        return sampled
    return dice.pick(left_over(p, h))


def off(top: list[int], q: list[Number]) -> list[Number]:
    """The row without the most likely tokens, normalised."""
    rest = [ZERO if token in top else mass for token, mass in enumerate(q)]
    return [mass / sum(rest) for mass in rest]


VERIFIERS: dict[str, Callable[[Case], Run]] = {
    rule.__name__: walk(rule)
    for rule in (
        nss,
        first_draft,
        rrs_with_replacement,
        rrs_skip_repeats,
        rrs_without_replacement,
        greedy,
    )
}
