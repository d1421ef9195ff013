"""Tails and calls of one text by their definitions, window by window and in exact sums.

Shares no code with `mdbound.paths`, which it is held against: tails go token by token through a
window, calls by a backward recursion over the text, in integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mdbound.analysis.verification.plain_rows import Floats

BITS = 300
"""Calls are summed in units of 2^-300: tails are floats, and rounding them to that loses nothing
that a float can show."""


def match_tail(p: Sequence[float], q: Sequence[float]) -> list[float]:
    """P(the draft drew the first l tokens), l = 1..L: both draw the same random numbers.

    Example:
        >>> match_tail([0.5, 0.5], [0.25, 0.5])
        [0.25, 0.125]
    """
    del p
    tail, reached = [], 1.0
    for drafted in q:
        reached *= drafted
        tail.append(reached)
    return tail


def single_draft_tail(p: Sequence[float], q: Sequence[float]) -> list[float]:
    """Each token of the text was drafted and kept with probability min(p, q) / p.

    Example:
        >>> single_draft_tail([0.5, 0.5], [0.25, 1.0])
        [0.5, 0.5]
    """
    tail, reached = [], 1.0
    for wanted, drafted in zip(p, q, strict=True):
        reached *= min(wanted, drafted) / wanted
        tail.append(reached)
    return tail


def block_tail(p: Sequence[float], q: Sequence[float]) -> list[float]:
    """The mass that block verification has kept of the window, over the target's.

    Example:
        >>> block_tail([0.5, 0.5], [0.25, 1.0])
        [0.5, 0.5]
    """
    tail, kept, target, draft = [], 1.0, 1.0, 1.0
    for wanted, drafted in zip(p, q, strict=True):
        target, draft = target * wanted, draft * drafted
        kept = min(kept * wanted, draft)
        tail.append(kept / target if target > 0.0 else math.nan)
        if target < 1e-250:  # of tokens so unlikely that products leave the range of floats
            kept, draft, target = kept / target, draft / target, 1.0
    return tail


def joint_tail(p: Sequence[float], q: Sequence[float]) -> list[float]:
    """min(1, ratio of the joint probabilities of l tokens).

    Example:
        >>> joint_tail([0.5, 0.5], [0.25, 1.0])
        [0.5, 1.0]
    """
    tail, ratio = [], 1.0
    for wanted, drafted in zip(p, q, strict=True):
        ratio *= drafted / wanted
        tail.append(min(1.0, ratio))
    return tail


TAILS: dict[str, Callable[[Sequence[float], Sequence[float]], list[float]]] = {
    "match": match_tail,
    "single_draft": single_draft_tail,
    "block": block_tail,
    "asps": block_tail,
    "joint": joint_tail,
}
"""By the name of the rule: from p and q of a window's tokens to P(tau >= l | text)."""


def window_tails(
    p: Sequence[float], q: Sequence[float], length: int, scheme: str
) -> list[list[float]]:
    """The tail of a call that starts at each token; shorter where the text ends.

    Example:
        >>> window_tails([0.5, 0.5], [0.5, 0.25], 2, "block")
        [[1.0, 0.5], [0.5]]
    """
    rule = TAILS[scheme]
    return [rule(p[s : s + length], q[s : s + length]) for s in range(len(p))]


def last_level(before: Sequence[tuple[float, float]], p: Floats, q: Floats, scheme: str) -> float:
    """P(tau >= l | the first l - 1 tokens), the last one summed over the vocabulary.

    Args:
        before: p and q of the first l - 1 tokens.
        p: target at the last, shape (V,).
        q: draft there.
        scheme: a rule of `LAST_LEVELS`.

    Example:
        >>> last_level([(0.5, 0.25)], np.array([0.5, 0.5]), np.array([0.25, 0.75]), "block")
        0.375
    """
    return LAST_LEVELS[scheme](before, p, q)


def _single_draft_level(before: Sequence[tuple[float, float]], p: Floats, q: Floats) -> float:
    reached = math.prod(min(1.0, other / own) for own, other in before)
    return reached * math.fsum(np.minimum(p, q))


def _block_level(before: Sequence[tuple[float, float]], p: Floats, q: Floats) -> float:
    ratio = least = 1.0
    for own, other in before:
        ratio *= other / own
        least = min(least, ratio)
    return math.fsum(np.minimum(least * p, ratio * q))


def _joint_level(before: Sequence[tuple[float, float]], p: Floats, q: Floats) -> float:
    ratio = math.prod(other / own for own, other in before)
    return math.fsum(np.minimum(p, ratio * q))


LAST_LEVELS: dict[str, Callable[[Sequence[tuple[float, float]], Floats, Floats], float]] = {
    "single_draft": _single_draft_level,
    "block": _block_level,
    "asps": _block_level,
    "joint": _joint_level,
}
"""By the name of the rule: the last token summed, not sampled."""


def expected_total(tails: Sequence[Sequence[float]], rewards: Sequence[float]) -> float:
    """E[sum of the rewards of the calls that write a text], last token first.

    A call at token s that accepts l tokens is followed by one at s + l + 1. With a reward of 1 at
    each token this is the expected number of calls.

    Args:
        tails: P(tau >= l | text) of a call at each token.
        rewards: what a call at each token counts.

    Example:
        >>> expected_total([[0.5], [0.5], [0.5]], [1.0, 1.0, 1.0])
        2.25
    """
    tokens, unit = len(tails), 1 << BITS
    to_come = [0] * (tokens + 1)
    for s in reversed(range(tokens)):
        levels = min(len(tails[s]), tokens - s - 1)
        reached = [unit, *(_fixed(t) for t in tails[s][:levels]), 0]
        later = sum((reached[l] - reached[l + 1]) * to_come[s + l + 1] for l in range(levels + 1))
        to_come[s] = _fixed(rewards[s]) + (later >> BITS)
    return to_come[0] / unit


def _fixed(value: float) -> int:
    """A float as an integer number of units."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << BITS) // denominator
