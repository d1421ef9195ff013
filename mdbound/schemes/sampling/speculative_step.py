"""One step of speculative sampling: test tokens against their law, and what a rejection leaves."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray
from mdbound.schemes.sampling.draws import draw_tokens


def speculative_sampling(
    p: FloatArray,
    proposal: FloatArray,
    tokens: IntArray,
    rng: np.random.Generator,
) -> tuple[IntArray, BoolArray]:
    """Speculative sampling of `tokens` drawn from `proposal`: outputs, and which were accepted.

    A token x is accepted with probability min(1, p(x) / proposal(x)); a rejected one is replaced
    by a draw from max(p - proposal, 0), normalised. Outputs then follow p.

    Example:
        >>> p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
        >>> speculative_sampling(p, q, np.array([1]), np.random.default_rng(0))
        (array([0]), array([False]))
    """
    accepted = rng.random(len(tokens)) * proposal[tokens] < p[tokens]
    output = tokens.copy()
    rejected = int((~accepted).sum())
    if rejected:
        output[~accepted] = draw_tokens(np.maximum(p - proposal, 0.0), rng, rejected)
    return output, accepted


def next_residual(residual: FloatArray, q: FloatArray) -> FloatArray:
    """max(residual - q, 0), normalised: the target of the draft after a rejection.

    Example:
        >>> next_residual(np.array([1.0, 0.0]), np.array([0.5, 0.5])).tolist()
        [1.0, 0.0]
    """
    left = np.maximum(residual - q, 0.0)
    total = left.sum()
    # No mass is left only where a rejection had probability zero up to rounding.
    return np.asarray(left / total) if total > 0.0 else residual
