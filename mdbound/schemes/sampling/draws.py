"""Drawing tokens: the part that all samplers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray

if TYPE_CHECKING:
    from mdbound.bounds.problem.array_types import IntArray


def draw_tokens(weights: FloatArray, rng: np.random.Generator, size: int) -> IntArray:
    """`size` independent tokens with probability proportional to `weights` (V,).

    A token of weight 0 is never drawn.

    Example:
        >>> draw_tokens(np.array([0.0, 1.0]), np.random.default_rng(0), 3).tolist()
        [1, 1, 1]
    """
    cumulative = np.cumsum(weights)
    tokens = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    last = int(np.flatnonzero(weights)[-1])
    return np.asarray(np.minimum(tokens, last), dtype=np.int64)


def draw_independent(drafts: list[FloatArray], rng: np.random.Generator, size: int) -> IntArray:
    """One independent draw from each distribution: shape (size, number of drafts).

    Example:
        >>> q = np.array([0.0, 1.0])
        >>> draw_independent([q, q], np.random.default_rng(0), 1).tolist()
        [[1, 1]]
    """
    return np.stack([draw_tokens(q, rng, size) for q in drafts], axis=1)


@kernel
def token_at(weights: FloatArray, level: float) -> int:
    """The token at which the running sum of `weights` first exceeds `level`.

    Falls back to the last token of positive weight when rounding puts `level` past the end, and
    to -1 when there is no such token.

    Example:
        >>> token_at(np.array([0.5, 0.0, 0.5]), 0.6)
        2
    """
    running = 0.0
    last = -1
    for i in range(len(weights)):
        if weights[i] > 0.0:
            last = i
            running += weights[i]
            if running > level:
                return i
    return last
