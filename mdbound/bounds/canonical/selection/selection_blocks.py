"""Blocks as the selection rule uses them: cut where a prefix nearly touches its containment.

A block's weights are finite while p_I(H) > F(H) for its proper prefixes H. Where a prefix nearly
touches, its tokens win against later ones with a probability next to 0, and the weights span as
many decades as floats have. There the block is cut: earlier tokens then never win. The law of the
selected token moves by the mass that they would have won, p_I(H) - F(H), and by no more.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.canonical.blocks import Blocks
from mdbound.bounds.problem.array_types import FloatArray

TOUCHING = 1e-14
"""Largest p_I(H) - F(H) of a prefix at which a block is cut. Less leaves weights that no float
holds, more moves the law of the selected token visibly."""

ALLOWED = 1e-13
"""Largest total of these differences: what cutting may move in all."""


def selection_blocks(
    blocks: Blocks, target: FloatArray, selected: FloatArray, increments: FloatArray
) -> Blocks:
    """The blocks, cut where prefixes touch up to rounding; slopes are those of the parts.

    Args:
        blocks: of the decomposition.
        target: p, shape (V,).
        selected: p_I, shape (V,).
        increments: of containment along `blocks.order`, shape (m,).

    Example:
        >>> blocks = Blocks(np.array([0, 1]), np.array([0, 2]), np.array([1.0]))
        >>> p = np.array([2.0**-60, 1.0])
        >>> cut = selection_blocks(blocks, p, p, np.array([2.0**-62, 1.0]))
        >>> cut.starts.tolist(), cut.slopes.tolist()
        ([0, 1, 2], [0.25, 1.0])
    """
    lead = np.cumsum(selected[blocks.order] - increments)
    inner = np.ones(len(lead), dtype=np.bool_)
    inner[blocks.starts[1:] - 1] = False  # where a block ends anyway
    touching = np.flatnonzero(inner & (lead <= TOUCHING))
    if not len(touching):
        return blocks
    moved = np.cumsum(np.maximum(lead[touching], 0.0))
    cuts = touching[moved <= ALLOWED] + 1
    starts = np.union1d(blocks.starts, cuts)
    widths = np.add.reduceat(target[blocks.order], starts[:-1])
    heights = np.add.reduceat(increments, starts[:-1])
    with np.errstate(over="ignore"):
        slopes = np.divide(heights, widths, out=np.full(len(widths), np.inf), where=widths > 0.0)
    return Blocks(blocks.order, starts, slopes)
