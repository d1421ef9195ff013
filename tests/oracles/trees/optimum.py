"""What no verifier can beat, in fractions: a program over antichains, and bounds over all subsets.

The variables are the masses a(x) accepted at or below each node x. No tree and no transport is in
the program: whether a tree can serve the masses is a condition on every antichain of nodes.
"""

from __future__ import annotations

import functools
import itertools

from tests.oracles.path_verification import Prefix, mass_of
from tests.oracles.trees.cases import DRAWS, Case, prefixes
from tests.oracles.trees.dice import ONE, ZERO, Dice, Number, law
from tests.oracles.trees.simplex import maximum

Antichain = frozenset[Prefix]


def antichains(vocab_size: int, length: int, node: Prefix = ()) -> list[Antichain]:
    """Sets of nodes below the context, none an ancestor of another; the empty one too."""
    if len(node) == length:
        return [frozenset(), frozenset([node])]
    below = [antichains(vocab_size, length, (*node, token)) for token in range(vocab_size)]
    found = [frozenset().union(*several) for several in itertools.product(*below)]
    return [*found, frozenset([node])] if node else found


def chance_to_meet(case: Case) -> dict[Antichain, Number]:
    """c(A): the probability that a node of the antichain is drafted."""
    every = antichains(case.vocab_size, case.length)
    if case.num_paths and not case.trunk:
        found = {}
        for antichain in every:
            missed = ONE
            for number in range(case.num_paths):
                model = case.model(number)
                missed *= 1 - sum((mass_of(model, (), node) for node in antichain), ZERO)
            found[antichain] = 1 - missed
        return found
    sets = case.node_sets().items()
    return {a: sum((mass for nodes, mass in sets if not a.isdisjoint(nodes)), ZERO) for a in every}


def one_call_rows(case: Case, nodes: list[Prefix]) -> list[tuple[list[Number], Number]]:
    """a(xt) <= p(t|x) a(x): the text after the block is fresh."""
    found = []
    for node in nodes:
        share = case.target[node[:-1]][node[-1]]
        row = [ONE if other == node else ZERO for other in nodes]
        if len(node) > 1:
            row[nodes.index(node[:-1])] = -share
        found.append((row, share if len(node) == 1 else ZERO))
    return found


def carried_rows(case: Case, nodes: list[Prefix]) -> list[tuple[list[Number], Number]]:
    """a(x) <= p(x), and no more below a node than at or below it."""
    found = []
    for node in nodes:
        row = [ONE if other == node else ZERO for other in nodes]
        found.append((row, mass_of(case.target, (), node)))
    for parent in ((), *nodes):
        if len(parent) < case.length:
            row = [ONE if node[:-1] == parent else ZERO for node in nodes]
            if parent:
                row[nodes.index(parent)] = -ONE
            found.append((row, ZERO if parent else ONE))
    return found


STATES = {"one_call": one_call_rows, "carried": carried_rows}


def optimum(case: Case, state: str) -> Number:
    """E tau of the best verifier of a class: antichains are added while one is violated."""
    nodes = [node for node in prefixes(case.vocab_size, case.length) if node]
    chances = chance_to_meet(case)
    rows = STATES[state](case, nodes)
    while True:
        value, masses = maximum([ONE] * len(nodes), rows)
        accepted = dict(zip(nodes, masses, strict=True))
        excess = {
            antichain: sum((accepted[node] for node in antichain), ZERO) - chance
            for antichain, chance in chances.items()
        }
        worst = sorted(excess, key=lambda antichain: (-excess[antichain], sorted(antichain)))
        broken = [antichain for antichain in worst[:8] if excess[antichain] > 0]
        if not broken:
            return value
        for antichain in broken:
            row = [ONE if node in antichain else ZERO for node in nodes]
            rows.append((row, chances[antichain]))


def depth_bound(case: Case) -> Number:
    """S: at each depth the smallest 1 + p(H) - P(all drafted nodes of the depth lie in H)."""
    total = ZERO
    sets = case.node_sets().items()
    for depth in range(1, case.length + 1):
        level = list(itertools.product(range(case.vocab_size), repeat=depth))
        smallest = ONE
        for kept in itertools.product((True, False), repeat=len(level)):
            inside = {node for node, keep in zip(level, kept, strict=True) if keep}
            mass = sum((mass_of(case.target, (), node) for node in inside), ZERO)
            outside = set(level) - inside
            held = sum((share for nodes, share in sets if outside.isdisjoint(nodes)), ZERO)
            smallest = min(smallest, 1 + mass - held)
        total += smallest
    return total


def top_down_optimum(case: Case) -> Number:
    """The best of the rules that decide token by token: a program at each node.

    What a child is worth depends on how many tokens are drafted after it: on how many of K paths
    pass it, or on its slot. The flow from a list of draws to the token that comes out fills the
    list's probability and the token's.
    """

    def value(node: Prefix, state: State) -> Number:
        p = case.target[node]
        lists = law(lambda dice: tuple(sorted_copies(case, draws(dice, case, node, state))))
        flows = [(drawn, t) for drawn in lists for t in dict.fromkeys(drawn) if p[t]]
        rows = [
            ([ONE if flow[0] == drawn else ZERO for flow in flows], mass)
            for drawn, mass in lists.items()
        ]
        rows += [
            ([ONE if flow[1] == token else ZERO for flow in flows], p[token])
            for token in range(len(p))
        ]
        return maximum([1 + below(node, state, *flow) for flow in flows], rows)[0]

    @functools.cache
    def below_of(node: Prefix, state: State) -> Number:
        return value(node, state) if has_children(case, node, state) else ZERO

    def below(node: Prefix, state: State, drawn: tuple[int, ...], token: int) -> Number:
        return below_of((*node, token), child(case, state, drawn, token))

    return value((), case.num_paths if case.num_paths else ())


State = int | Prefix
"""How many paths pass a node, or its slot."""


def draws(dice: Dice, case: Case, node: Prefix, state: State) -> list[int]:
    width = state if isinstance(state, int) else case.width(state)
    return DRAWS[case.sampling](dice, case.model(0)[node], width)


def sorted_copies(case: Case, drawn: list[int]) -> list[int]:
    """Of paths only the counts matter; of branches the order does, where slots differ."""
    return sorted(drawn) if case.num_paths else list(dict.fromkeys(drawn))


def child(case: Case, state: State, drawn: tuple[int, ...], token: int) -> State:
    if isinstance(state, int):
        return drawn.count(token)
    return (*state, drawn.index(token))


def has_children(case: Case, node: Prefix, state: State) -> bool:
    return len(node) < case.length if isinstance(state, int) else case.width(state) > 0
