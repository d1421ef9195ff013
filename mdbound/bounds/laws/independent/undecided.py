"""Tokens that a search has not decided yet, and the sums over them; for independent drafts.

Every sum over tokens runs in blocks of `BLOCK`, in any order inside; the sums of eight blocks are
added up, and those of all eights are compensated. Masses come in one array: p, then q_1..q_K.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.array_loops import copy
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.flagged import put_flagged
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF, compensated_add
from mdbound.bounds.problem.array_types import FloatArray, IntArray

BLOCK = 64
"""Tokens summed in any order."""

CHUNK = 512
"""Tokens looked at in one go: their weighted sums stay in the first cache."""

SUM_ERROR = (BLOCK + CHUNK // BLOCK + 4.0) * UNIT_ROUNDOFF
"""Relative error of a sum over tokens."""


class OpenTokens(NamedTuple):
    """A subproblem: the tokens not yet decided, and the masses of those already in.

    Attributes:
        ids: token ids; the first `size` are open.
        masses: p and q_1..q_K of these, K + 1 rows.
        inside: p and q_k of the tokens that are in, and their number, shape (K + 2,).
        size: how many tokens are open.
    """

    ids: IntArray
    masses: FloatArray
    inside: FloatArray
    size: int


@kernel
def leave_one_out_products(x: FloatArray) -> FloatArray:
    """Product of all the other entries, for each.

    Example:
        >>> leave_one_out_products(np.array([2.0, 3.0, 4.0])).tolist()
        [12.0, 8.0, 6.0]
    """
    weights = np.ones(len(x))
    for k in range(len(x)):
        for j in range(len(x)):
            if j != k:
                weights[k] *= x[j]
    return weights


@kernel
def product(x: FloatArray) -> float:
    """Product of the entries.

    Example:
        >>> product(np.array([2.0, 3.0, 4.0]))
        24.0
    """
    result = 1.0
    for k in range(len(x)):
        result *= x[k]
    return result


@kernel
def weighted(
    masses: FloatArray, start: int, stop: int, weights: FloatArray, gain: FloatArray
) -> None:
    """Write sum over k of w_k q_k for tokens `start` to `stop`, to the front of `gain`.

    Example:
        >>> gain = np.empty(2)
        >>> weighted(np.array([[0.5, 0.5], [0.25, 0.75]]), 0, 2, np.array([2.0]), gain)
        >>> gain.tolist()
        [0.5, 1.5]
    """
    size = stop - start
    out = gain[:size]
    first = masses[1, start:stop]
    weight = weights[0]
    for i in range(size):
        out[i] = weight * first[i]
    for k in range(1, len(weights)):
        row = masses[k + 1, start:stop]
        weight = weights[k]
        for i in range(size):
            out[i] += weight * row[i]


@kernel
def masses_below(masses: FloatArray, size: int, weights: FloatArray, scale: float) -> FloatArray:
    """Masses, and the number, of the tokens with p_i < scale * sum over k of w_k q_k,i.

    Args:
        masses: p and q_1..q_K, K + 1 rows.
        size: how many tokens count, from the first on.
        weights: w, shape (K,).
        scale: at least 0.

    Returns:
        Shape (K + 2,), the number last. Each right to `SUM_ERROR`.

    Example:
        >>> masses_below(np.array([[0.4, 0.6], [0.5, 0.5]]), 2, np.ones(1), 1.0).tolist()
        [0.4, 0.5, 1.0]
    """
    rows = len(weights) + 1
    gain = np.empty(CHUNK)
    parts = np.empty((rows + 1, CHUNK // BLOCK))
    sums, lost = np.zeros(rows + 1), np.zeros(rows + 1)
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        weighted(masses, start, stop, weights, gain)
        blocks = _below_parts(masses, start, stop, gain, scale, parts)
        add_parts(parts, blocks, sums, lost)
    return sums + lost


@kernel(fastmath={"reassoc", "nsz"})
def _below_parts(
    masses: FloatArray, start: int, stop: int, gain: FloatArray, scale: float, parts: FloatArray
) -> int:
    """Sums of each block of a chunk over the tokens below; how many blocks there are."""
    rows = len(parts) - 1
    blocks = 0
    for first in range(start, stop, BLOCK):
        size = min(BLOCK, stop - first)
        target = masses[0, first : first + size]
        limit = gain[first - start : first - start + size]
        for row in range(rows):
            values = masses[row, first : first + size]
            total = 0.0
            for i in range(size):
                total += values[i] if target[i] < scale * limit[i] else 0.0
            parts[row, blocks] = total
        count = 0
        for i in range(size):
            count += 1 if target[i] < scale * limit[i] else 0
        parts[rows, blocks] = count
        blocks += 1
    return blocks


@kernel
def add_parts(parts: FloatArray, blocks: int, sums: FloatArray, lost: FloatArray) -> None:
    """Add the sums of the blocks of a chunk, one row per sum, to compensated totals.

    Example:
        >>> sums, lost = np.zeros(1), np.zeros(1)
        >>> add_parts(np.array([[0.25, 0.5]]), 2, sums, lost)
        >>> sums.tolist()
        [0.75]
    """
    for row in range(len(sums)):
        total = 0.0
        for block in range(blocks):
            total += parts[row, block]
        sums[row], lost[row] = compensated_add(sums[row], lost[row], total)


@kernel
def line_gaps(
    tokens: OpenTokens, weights: FloatArray, scales: FloatArray, gaps: FloatArray
) -> None:
    """Write g(s) = max over sets of s S(H) - p(H) for each scale s, S(H) = sum of w_k q_k(H).

    Args:
        tokens: the sets hold what is inside and any of the open tokens.
        weights: w, shape (K,).
        scales: shape (J,).
        gaps: written, shape (J,).

    Example:
        >>> masses = np.array([[0.4, 0.6], [0.5, 0.5]])
        >>> tokens, gaps = OpenTokens(np.arange(2), masses, np.zeros(3), 2), np.empty(1)
        >>> line_gaps(tokens, np.ones(1), np.ones(1), gaps)
        >>> gaps.round(12).tolist()
        [0.1]
    """
    count = len(scales)
    gain = np.empty(CHUNK)
    parts = np.empty((count, CHUNK // BLOCK))
    sums, lost = np.zeros(count), np.zeros(count)
    for start in range(0, tokens.size, CHUNK):
        stop = min(start + CHUNK, tokens.size)
        weighted(tokens.masses, start, stop, weights, gain)
        blocks = _gap_parts(tokens.masses[0, start:stop], gain, scales, parts)
        add_parts(parts, blocks, sums, lost)
    inside = 0.0
    for k in range(len(weights)):
        inside += weights[k] * tokens.inside[k + 1]
    for j in range(count):
        gaps[j] = sums[j] + lost[j] + (scales[j] * inside - tokens.inside[0])


@kernel(fastmath={"reassoc", "nsz"})
def _gap_parts(target: FloatArray, gain: FloatArray, scales: FloatArray, parts: FloatArray) -> int:
    blocks = 0
    for first in range(0, len(target), BLOCK):
        size = min(BLOCK, len(target) - first)
        p = target[first : first + size]
        limit = gain[first : first + size]
        for j in range(len(scales)):
            scale = scales[j]
            total = 0.0
            for i in range(size):
                excess = scale * limit[i] - p[i]
                total += excess if excess > 0.0 else 0.0
            parts[j, blocks] = total
        blocks += 1
    return blocks


@kernel
def bracket(
    masses: FloatArray, size: int, weights: FloatArray, lower: float, upper: float
) -> OpenTokens:
    """Tokens with lower w.q_i <= p_i <= upper w.q_i as open, those below as inside.

    Args:
        masses: p and q_1..q_K, K + 1 rows.
        size: how many tokens there are.
        weights: w, shape (K,).
        lower: scale below which a token counts as in.
        upper: scale above which it counts as out.

    Example:
        >>> masses = np.array([[0.1, 0.4, 0.5], [0.5, 0.4, 0.1]])
        >>> tokens = bracket(masses, 3, np.ones(1), 0.5, 2.0)
        >>> tokens.ids[:tokens.size].tolist(), tokens.inside.tolist()
        ([1], [0.1, 0.5, 1.0])
    """
    rows = len(weights) + 1
    gain = np.empty(CHUNK)
    places = np.empty(CHUNK + 1, dtype=np.int32)
    marks, some = np.empty(CHUNK, dtype=np.uint8), np.empty(CHUNK // 8 + 1, dtype=np.int32)
    parts = np.empty((rows + 1, CHUNK // BLOCK))
    sums, lost = np.zeros(rows + 1), np.zeros(rows + 1)
    room = max(size // 4, 1024)
    ids = np.empty(room, dtype=np.int64)
    kept = np.empty((rows, room))
    count = 0
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        weighted(masses, start, stop, weights, gain)
        blocks = _below_parts(masses[:rows], start, stop, gain, lower, parts)
        add_parts(parts, blocks, sums, lost)
        _mark_between(masses[0, start:stop], gain, lower, upper, marks)
        found = put_flagged(marks, 0, places, 0, some)
        if count + found > room:
            room = min(size, 2 * room + found)
            ids, kept = _enlarged(ids, kept, count, room)
        for i in range(found):
            ids[count + i] = start + places[i]
        for row in range(rows):
            values, target = masses[row, start:stop], kept[row]
            for i in range(found):
                target[count + i] = values[places[i]]
        count += found
    return OpenTokens(ids, kept, sums + lost, count)


@kernel
def _mark_between(
    target: FloatArray,
    gain: FloatArray,
    lower: float,
    upper: float,
    marks: npt.NDArray[np.uint8],
) -> None:
    """Mark where lower gain <= target <= upper gain, gain above 0, and nothing behind the end."""
    for i in range(len(target)):
        near = (target[i] >= lower * gain[i]) & (target[i] <= upper * gain[i])
        marks[i] = near & (gain[i] > 0.0)
    for i in range(len(target), len(marks)):
        marks[i] = 0


@kernel
def _enlarged(
    ids: IntArray, kept: FloatArray, count: int, room: int
) -> tuple[IntArray, FloatArray]:
    more_ids = np.empty(room, dtype=np.int64)
    more = np.empty((len(kept), room))
    copy(ids[:count], more_ids)
    for row in range(len(kept)):
        copy(kept[row, :count], more[row])
    return more_ids, more
