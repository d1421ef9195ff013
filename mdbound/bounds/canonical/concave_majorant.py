"""Least concave majorant of prefix containments over prefix target masses, by pooling.

With tokens sorted by q/p descending, P_k and F_k the target mass and the containment of the first
k, the slopes of the least concave majorant of the points (P_k, F_k) are what pooling adjacent
violators makes of the increments: neighbours are merged while a later slope is above an earlier.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray


@kernel
def concave_majorant(widths: FloatArray, heights: FloatArray) -> tuple[IntArray, FloatArray]:
    """Linear pieces (blocks) of the least concave majorant of a chain of points.

    Increments are pooled, not points, so that a piece of tiny width keeps its slope to a few ulps.

    Args:
        widths: increments of P, shape (m,), at least 0; zeros only at the front.
        heights: increments of F, shape (m,), at least 0.

    Returns:
        Where each block starts, followed by m, shape (blocks + 1,); and the slopes of the blocks,
        non-increasing, inf where the width is 0.

    Example:
        >>> widths, heights = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.5, 0.25])
        >>> starts, slopes = concave_majorant(widths, heights)
        >>> starts.tolist(), slopes.tolist()
        ([0, 2, 3], [1.0, 1.0])
    """
    size = len(widths)
    start = np.empty(size + 1, dtype=np.int64)
    width, width_lost = np.empty(size), np.empty(size)
    height, height_lost = np.empty(size), np.empty(size)
    blocks = 0
    for k in range(size):
        start[blocks] = k
        width[blocks], width_lost[blocks] = widths[k], 0.0
        height[blocks], height_lost[blocks] = heights[k], 0.0
        blocks += 1
        while blocks > 1:
            last, before = blocks - 1, blocks - 2
            w, v = width[last] + width_lost[last], width[before] + width_lost[before]
            if v == 0.0 or (height[last] + height_lost[last]) * v <= w * (
                height[before] + height_lost[before]
            ):
                break
            width[before], lost = _two_sum(width[before], width[last])
            width_lost[before] += width_lost[last] + lost
            height[before], lost = _two_sum(height[before], height[last])
            height_lost[before] += height_lost[last] + lost
            blocks -= 1
    slopes = np.empty(blocks)
    for b in range(blocks):
        w = width[b] + width_lost[b]
        slopes[b] = (height[b] + height_lost[b]) / w if w > 0.0 else np.inf
    start[blocks] = size
    return start[: blocks + 1].copy(), slopes


@kernel
def _two_sum(a: float, b: float) -> tuple[float, float]:
    """The rounded sum and what rounding lost, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
