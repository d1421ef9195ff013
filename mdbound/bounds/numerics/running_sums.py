"""Prefix sums of rows in numpy, each within an ulp or so at any scale."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray


def running_sums(values: FloatArray) -> FloatArray:
    """Sums of the first 0, 1, ..., V values along the last axis, which are not negative.

    Every doubling of the distance adds sums of twice as many values, and keeps what each
    addition lost to rounding: ln V / ln 2 passes over whole arrays. The error of each sum is
    `UNIT_ROUNDOFF` of it and terms of second order.

    Args:
        values: shape (..., V).

    Returns:
        Shape (..., V + 1).

    Example:
        >>> running_sums(np.array([[0.5, 0.25, 2.0**-60]])).tolist()
        [[0.0, 0.5, 0.75, 0.75]]
    """
    high = np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1)
    low = np.zeros_like(high)
    distance = 1
    while distance < high.shape[-1]:
        later, earlier = high[..., distance:], high[..., :-distance]
        total = later + earlier
        of_earlier = total - later
        lost = (later - (total - of_earlier)) + (earlier - of_earlier)
        carried = low[..., :-distance] + lost
        high = np.concatenate([high[..., :distance], total], axis=-1)
        low = np.concatenate([low[..., :distance], low[..., distance:] + carried], axis=-1)
        distance *= 2
    sums: FloatArray = high + low
    return sums
