"""A sample of the tokens of a row, to guess thresholds from; no value depends on what it holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.independent.undecided import BLOCK, CHUNK, masses_below, weighted
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.flagged import put_flagged
from mdbound.bounds.problem.array_types import FloatArray

HEAVY = 8.0
"""Tokens with so many times the mean mass under p or any q_k are all in the sample."""

STRIDE = 16
"""Of the others at most one block in so many is."""

LEAST = 4096
"""Of the others at least about so many are."""


class Sample(NamedTuple):
    """Masses p and q_1..q_K of some tokens, K + 1 rows each.

    Attributes:
        heavy: the first `heavies` are every heavy token.
        heavies: how many these are.
        light: the first `lights` are some of the others.
        lights: how many these are.
        factor: how many of the others there are for each that is in the sample.
    """

    heavy: FloatArray
    heavies: int
    light: FloatArray
    lights: int
    factor: float


@kernel
def take_sample(masses: FloatArray) -> Sample:
    """All heavy tokens, and the others of evenly spaced blocks.

    Args:
        masses: p and q_1..q_K, K + 1 rows.

    Example:
        >>> masses = np.full((2, 100_000), 1e-5)
        >>> masses[1, 7] = 0.5
        >>> sample = take_sample(masses)
        >>> sample.heavy[:, : sample.heavies].tolist(), sample.lights, round(sample.factor, 2)
        ([[1e-05], [0.5]], 6271, 15.95)
    """
    rows, vocab_size = masses.shape
    stride = max(1, min(STRIDE, vocab_size // LEAST))
    # Rows of mass 1 have at most V / HEAVY heavy tokens each.
    room = rows * int(vocab_size / HEAVY * 1.001) + CHUNK
    heavy = np.empty((rows, min(room, vocab_size)))
    light = np.empty((rows, vocab_size // stride + 2 * CHUNK))
    marks, places = np.empty(CHUNK, dtype=np.uint8), np.empty(CHUNK + 1, dtype=np.int32)
    some = np.empty(CHUNK // 8 + 1, dtype=np.int32)
    heavies, lights = 0, 0
    for start in range(0, vocab_size, CHUNK):
        stop = min(start + CHUNK, vocab_size)
        _mark_above(masses, start, stop, HEAVY / vocab_size, marks)
        found = min(put_flagged(marks, 0, places, 0, some), heavy.shape[1] - heavies)
        for row in range(rows):
            values, kept = masses[row, start:stop], heavy[row, heavies : heavies + found]
            for i in range(found):
                kept[i] = values[places[i]]
        heavies += found
        for first in range(-start % (BLOCK * stride), stop - start, BLOCK * stride):
            last = min(first + BLOCK, stop - start)
            found = 0
            for i in range(first, last):
                places[found] = i
                found += 1 - marks[i]
            for row in range(rows):
                values, kept = masses[row, start:stop], light[row, lights : lights + found]
                for i in range(found):
                    kept[i] = values[places[i]]
            lights += found
    factor = (vocab_size - heavies) / max(lights, 1)
    return Sample(heavy, heavies, light, lights, factor)


@kernel
def _mark_above(
    masses: FloatArray, start: int, stop: int, limit: float, marks: npt.NDArray[np.uint8]
) -> None:
    chosen = marks[: stop - start]
    first = masses[0, start:stop]
    for i in range(len(chosen)):
        chosen[i] = first[i] > limit
    for row in range(1, len(masses)):
        values = masses[row, start:stop]
        for i in range(len(chosen)):
            chosen[i] |= values[i] > limit
    for i in range(len(chosen), len(marks)):
        marks[i] = 0


@kernel
def sampled_masses_below(sample: Sample, weights: FloatArray) -> FloatArray:
    """Estimate of `masses_below` at scale 1 over all tokens.

    Args:
        sample: of at least K + 1 rows.
        weights: w, shape (K,).

    Example:
        >>> sample = Sample(np.array([[0.4], [0.5]]), 1, np.array([[0.1], [0.2]]), 1, 2.0)
        >>> sampled_masses_below(sample, np.ones(1)).round(9).tolist()
        [0.6, 0.9, 3.0]
    """
    light = masses_below(sample.light, sample.lights, weights, 1.0)
    return masses_below(sample.heavy, sample.heavies, weights, 1.0) + sample.factor * light


@kernel
def widest_bracket(sample: Sample, weights: FloatArray, widths: FloatArray, tokens: float) -> float:
    """First width v such that about `tokens` or fewer have w.q_i / (1 + v) <= p_i <= (1 + v) w.q_i.

    Args:
        sample: of at least K + 1 rows.
        weights: w, shape (K,).
        widths: from wide to narrow; the last is returned if none will do.
        tokens: see there.

    Example:
        >>> sample = Sample(np.array([[0.4, 0.6], [0.5, 0.5]]), 2, np.empty((2, 0)), 0, 1.0)
        >>> widest_bracket(sample, np.ones(1), np.array([0.5, 0.22, 0.1]), 1.0)
        0.22
    """
    counts = np.zeros(len(widths))
    _count_between(sample.light, sample.lights, weights, widths, counts)
    counts *= sample.factor
    _count_between(sample.heavy, sample.heavies, weights, widths, counts)
    width: float = widths[-1]
    for j in range(len(widths) - 1, -1, -1):
        if counts[j] <= tokens:
            width = widths[j]
    return width


@kernel
def _count_between(
    masses: FloatArray, size: int, weights: FloatArray, widths: FloatArray, counts: FloatArray
) -> None:
    gain = np.empty(CHUNK)
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        weighted(masses, start, stop, weights, gain)
        target = masses[0, start:stop]
        for j in range(len(widths)):
            upper = 1.0 + widths[j]
            lower = 1.0 / upper
            count = 0
            for i in range(len(target)):
                near = (target[i] >= lower * gain[i]) & (target[i] <= upper * gain[i])
                count += 1 if near & (gain[i] > 0.0) else 0
            counts[j] += count
