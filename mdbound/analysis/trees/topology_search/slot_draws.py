"""Acceptance by slot at positions of a text: a few drafted lists each, coins summed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.errors import refuse_unknown
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.trees.drafting.node_draws import most_likely, node_law
from mdbound.trees.verifiers.node_rules import NodeRule

Floats = NDArray[np.float64]
Weighted = Iterator[tuple[float, tuple[int, ...]]]


@dataclass(frozen=True)
class SlotDraws:
    """What a rule does with lists of b = 1, ..., B tokens at each of N positions.

    Attributes:
        by_slot: P(the output is the child in slot k | list), shape (N, B, B), entry `[i, b-1, k]`;
            0 for slots that no child came to. Its mean over lists is the acceptance of the slot.
        of_text: likewise P(the output is the text's next token, drafted in slot k) over that
            token's probability, unbiased over lists that hold it.
        document: number of the document of each position, (N,).
        starts_run: whether the position before it is not the one before it in the text, (N,).
    """

    by_slot: Floats
    of_text: Floats
    document: NDArray[np.int64]
    starts_run: NDArray[np.bool_]


def draw_slots(
    target: Floats,
    draft: Floats,
    token: int,
    rule: NodeRule,
    sampling: str,
    max_children: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """One position: lists of every length, with and without the condition that they hold a token.

    Args:
        target: p, (V,).
        draft: q, (V,).
        token: the text's next token; p of it is above 0.
        rule: the rule.
        sampling: law of the list.
        max_children: B.
        rng: source of the lists.

    Returns:
        A row each of `by_slot` and `of_text`.

    Example:
        >>> from mdbound.trees.verifiers.node_rules import NODE_RULES
        >>> p = np.array([0.5, 0.5])
        >>> slots, of_text = draw_slots(
        ...     p, p, 1, NODE_RULES[0], "top_k", 2, np.random.default_rng(0))
        >>> slots.tolist(), of_text.tolist()
        ([[0.5, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 1.0]])
    """
    refuse_unknown([sampling], _LISTS_WITH, "`sampling`")
    by_slot, of_text = np.zeros((2, max_children, max_children))
    for count in range(1, max_children + 1):
        drafted = node_law(sampling).draw([draft] * count, rng)
        output = rule.output(target, [draft] * len(drafted), drafted)
        children = list(dict.fromkeys(drafted))
        by_slot[count - 1, : len(children)] = output[children]
        if not draft[token] > 0.0:
            continue
        for weight, tokens in _LISTS_WITH[sampling](draft, token, count, rng):
            share = rule.output(target, [draft] * len(tokens), tokens)[token] / target[token]
            of_text[count - 1, list(dict.fromkeys(tokens)).index(token)] += weight * share
    return by_slot, of_text


def _with_replacement(q: Floats, token: int, count: int, rng: np.random.Generator) -> Weighted:
    """The token comes first at each draw in turn: other tokens before it, any after it."""
    others = q.copy()
    others[token] = 0.0
    for place in range(count):
        if place and not others.any():
            return
        before = draw_tokens(others, rng, place) if place else ()
        after = draw_tokens(q, rng, count - place - 1)
        mass = float((1.0 - q[token]) ** place * q[token])
        yield mass, (*map(int, before), token, *map(int, after))


def _without_replacement(q: Floats, token: int, count: int, rng: np.random.Generator) -> Weighted:
    left, mass = q.copy(), 1.0
    before: tuple[int, ...] = ()
    for _ in range(count):
        total = left.sum()
        share = left[token] / total
        rest = left.copy()
        rest[token] = 0.0
        later = count - len(before) - 1
        after = node_law("without_replacement").draw([rest] * later, rng) if later else ()
        yield float(mass * share), (*before, token, *after)
        if not rest.any():
            return
        drawn = int(draw_tokens(rest, rng, 1)[0])
        # That this draw is not the token; which other one it is was drawn from the rest.
        mass *= float(rest.sum() / total)
        before, left[drawn] = (*before, drawn), 0.0


def _greedy(q: Floats, token: int, count: int, rng: np.random.Generator) -> Weighted:
    top = most_likely(q, count - 1)
    if token in top:
        yield 1.0, node_law("greedy").draw([q] * count, rng)
        return
    rest = q.copy()
    rest[list(top)] = 0.0
    yield float(rest[token] / rest.sum()), (*top, token)


def _top_k(q: Floats, token: int, count: int, rng: np.random.Generator) -> Weighted:
    del rng  # nothing is left to chance
    top = most_likely(q, count)
    if token in top:
        yield 1.0, top


_LISTS_WITH: dict[str, Callable[[Floats, int, int, np.random.Generator], Weighted]] = {
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,
    "greedy": _greedy,
    "top_k": _top_k,
}
"""Lists that hold a token, one for each place it may first come to, with their weights: the
expectation of the sum of weight times f is that of f over lists that hold the token."""
