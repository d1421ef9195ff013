"""Drawing tuples of drafts by a draft law, and whether it can draw a given one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import refuse_unknown
from mdbound.schemes.contract.results import NO_TOKEN
from mdbound.schemes.sampling.draws import draw_independent, draw_tokens, token_at

if TYPE_CHECKING:
    from mdbound.bounds.problem.array_types import IntArray


def draw_tuples(
    law: str, drafts: list[FloatArray], rng: np.random.Generator, size: int
) -> IntArray:
    """`size` tuples of drafts, in the order drafted.

    Args:
        law: a draft law.
        drafts: one distribution for each draft, (V,) each; the same where the law has one.
        rng: source of randomness.
        size: number of tuples.

    Returns:
        Shape (size, n); `NO_TOKEN` where a law of distinct tokens has none left.

    Raises:
        InvalidSettingError: an unknown law.

    Example:
        >>> q = np.array([0.0, 1.0])
        >>> draw_tuples("without_replacement", [q, q], np.random.default_rng(0), 1).tolist()
        [[1, -1]]
    """
    refuse_unknown([law], TUPLES, "`sampling`")
    return TUPLES[law].draw(drafts, rng, size)


def can_draw(law: str, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
    """Whether a draft law gives a tuple a positive probability.

    Raises:
        InvalidSettingError: an unknown law.

    Example:
        >>> q = np.array([0.5, 0.5])
        >>> can_draw("with_replacement", [q, q], (1, 1)), can_draw("greedy", [q, q], (1, 1))
        (True, False)
    """
    refuse_unknown([law], TUPLES, "`sampling`")
    return TUPLES[law].can_draw(drafts, drafted)


def _draw_distinct(drafts: list[FloatArray], rng: np.random.Generator, size: int) -> IntArray:
    return _distinct_draws(drafts[0], rng.random((size, len(drafts))))


@kernel
def _distinct_draws(q: FloatArray, uniforms: FloatArray) -> IntArray:
    # One after the other, from uniform numbers (size, n).
    drawn = np.full(uniforms.shape, NO_TOKEN)
    for run in range(len(uniforms)):
        left = q.copy()
        for slot in range(uniforms.shape[1]):
            x = token_at(left, uniforms[run, slot] * left.sum())
            if x < 0:
                break
            drawn[run, slot] = x
            left[x] = 0.0
    return drawn


def _draw_greedy(drafts: list[FloatArray], rng: np.random.Generator, size: int) -> IntArray:
    top = most_likely_tokens(drafts[0], len(drafts) - 1)
    rest = drafts[0].copy()
    rest[top] = 0.0
    drawn = np.full((size, len(drafts)), NO_TOKEN, dtype=np.int64)
    drawn[:, : len(top)] = top
    if rest.any():
        drawn[:, len(top)] = draw_tokens(rest, rng, size)
    return drawn


def _each_possible(drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
    return all(q[x] > 0.0 for q, x in zip(drafts, drafted, strict=True))


def _distinct_possible(drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
    return len(set(drafted)) == len(drafted) and _each_possible(drafts, drafted)


def _greedy_possible(drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
    """The most likely tokens in their order, then any other token of positive probability."""
    top = tuple(int(x) for x in most_likely_tokens(drafts[0], len(drafted) - 1))
    last = drafted[-1]
    return tuple(drafted[:-1]) == top and drafts[0][last] > 0.0 and last not in top


class _Tuples(NamedTuple):
    draw: Callable[[list[FloatArray], np.random.Generator, int], IntArray]
    can_draw: Callable[[list[FloatArray], Sequence[int]], bool]


TUPLES: dict[str, _Tuples] = {
    "with_replacement": _Tuples(draw_independent, _each_possible),
    "without_replacement": _Tuples(_draw_distinct, _distinct_possible),
    "greedy": _Tuples(_draw_greedy, _greedy_possible),
    "independent": _Tuples(draw_independent, _each_possible),
}
"""By draft law."""
