"""Distributions of logits by the definitions of the warpers: sorting, and sums in float64.

Shares no code with `numerics.warped_softmax`, which it is held against.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdbound.bounds import Warpers

Floats = NDArray[np.float64]


def plain_distribution(logits: NDArray[np.float32], warpers: Warpers) -> Floats:
    """Target or draft distribution of one row of logits.

    Args:
        logits: shape (V,).
        warpers: temperature, then top-k, top-p and min-p, each on what the one before left.

    Example:
        >>> plain_distribution(np.array([3.0, 1.0, 2.0], np.float32), Warpers(top_k=2)).round(3)
        array([0.731, 0.   , 0.269])
    """
    wide = logits.astype(np.float64)
    if warpers.temperature == 0.0:
        return np.asarray(np.eye(1, len(wide), int(wide.argmax()))[0])
    descending = np.argsort(-wide, kind="stable")
    kept = np.isfinite(wide)
    if warpers.top_k is not None and warpers.top_k < len(wide):
        kept &= wide >= wide[descending[warpers.top_k - 1]]
    scaled = np.where(kept, (wide - wide.max()) / warpers.temperature, -np.inf)
    p = np.exp(scaled)
    p /= p.sum()
    if warpers.top_p is not None and warpers.top_p < 1.0:
        # By probability, not by logit: what rounds to the same probability is tied.
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]
        p[order[before >= warpers.top_p]] = 0.0
        p /= p.sum()
    if warpers.min_p is not None and warpers.min_p > 0.0:
        p[p < warpers.min_p * p.max()] = 0.0
        p /= p.sum()
    return p
