"""Sums of min(a, c b) over the vocabulary for many factors c, while a row is in memory."""

from __future__ import annotations

import math

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray

BLOCK = 256
"""Tokens that are added in vector lanes before one compensated step, and that stay in the first
cache for all factors. Fewer cost more steps; more lose digits."""
_HALF = 700.0
"""e^700 is finite, and e^1400 times the smallest positive number is above 1."""


@kernel
def _scale(
    other: FloatArray, first: float, second: float, start: int, stop: int, scaled: FloatArray
) -> None:
    # Two finite factors, one after the other, so that a token of probability 0 stays one where
    # their product overflows. Not called from `_block`, whose liberties it would inherit.
    for i in range(start, stop):
        scaled[i - start] = other[i] * first * second


@kernel(fastmath={"reassoc", "nsz", "contract"})
def _block(own: FloatArray, scaled: FloatArray, start: int, stop: int) -> float:
    mass = 0.0
    for i in range(start, stop):
        mass += min(own[i], scaled[i - start])
    return mass


@kernel
def _rows(
    own: FloatArray,
    other: FloatArray,
    log_scale: FloatArray,
    overlap: FloatArray,
    chunk: int,
    chunks: int,
) -> None:
    factors = log_scale.shape[1]
    total = np.empty(factors)
    lost = np.empty(factors)
    scaled = np.empty(BLOCK)
    for row in range(chunk, len(own), chunks):
        total[:] = 0.0
        lost[:] = 0.0
        for start in range(0, own.shape[1], BLOCK):
            stop = min(start + BLOCK, own.shape[1])
            for k in range(factors):
                scale = min(log_scale[row, k], 2.0 * _HALF)
                first = math.exp(min(scale, _HALF))
                second = math.exp(max(scale - _HALF, 0.0))
                _scale(other[row], first, second, start, stop, scaled)
                mass = _block(own[row], scaled, start, stop)
                total[k], lost[k] = compensated_add(total[k], lost[k], mass)
        overlap[row] = total + lost


def scaled_overlaps(own: FloatArray, other: FloatArray, log_scale: FloatArray) -> FloatArray:
    """Sum over tokens of min(own, e^log_scale other), for K scales a row.

    Args:
        own: checked rows (B, V).
        other: checked rows (B, V).
        log_scale: (B, K), any sign, infinities allowed.

    Returns:
        Shape (B, K).

    Example:
        >>> one, other = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
        >>> scaled_overlaps(one, other, np.array([[0.0, 2000.0, -np.inf]])).tolist()
        [[0.5, 0.5, 0.0]]
    """
    overlap = np.empty(log_scale.shape)
    scale = np.ascontiguousarray(log_scale)
    run_chunks(lambda chunk, chunks: _rows(own, other, scale, overlap, chunk, chunks), len(own))
    return overlap
