"""Monte Carlo rates: streams fixed by a seed and the row, and standard errors."""

from __future__ import annotations

import zlib

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray


def row_generator(seed: int, p: FloatArray, q: FloatArray) -> np.random.Generator:
    """A generator that depends on the seed and on the row's probabilities alone.

    The same row gets the same estimate in any batch, and different rows have independent errors,
    so that averages over positions have the standard error that independent rows would give.

    Example:
        >>> p = np.array([1.0])
        >>> row_generator(0, p, p).random() == row_generator(0, p, p).random()
        True
    """
    content = zlib.crc32(np.ascontiguousarray(q).tobytes(), zlib.crc32(p.tobytes()))
    return np.random.default_rng([seed, content])


FEW_RUNS = 20.0
"""Runs that carry the mean, below which unseen ones are allowed for: with fewer a larger value may
well be missing, with more the spread that was seen tells, and more caution would only widen."""


def standard_errors(values: FloatArray, largest: FloatArray) -> FloatArray:
    """Standard error of the means over runs, which does not trust runs that all look alike.

    Rare runs may carry much of a mean and be missing from the sample. So where few runs carry it,
    one more is counted, at the largest value that any run can have.

    Args:
        values: (runs, N) values in [0, largest].
        largest: (N,) upper bounds of a value.

    Returns:
        (N,) standard errors; at least about `largest / runs` where few runs carry a mean.

    Example:
        >>> standard_errors(np.zeros((99, 1)), np.array([1.0])).round(6).tolist()
        [0.010101]
    """
    runs = len(values)
    squares = ((values - values.mean(axis=0)) ** 2).sum(axis=0) * runs / (runs - 1)
    return np.asarray(np.sqrt(squares + _unseen(values, largest)) / runs)


def stratified_errors(values: FloatArray, largest: FloatArray) -> FloatArray:
    """As `standard_errors`, for runs whose first random number is stratified: one run in each part.

    What differs from part to part is no error of the mean. Two neighbouring parts are nearly alike,
    so that the difference of their runs has their variances, and a little more: it is never too
    small on average.

    Args:
        values: (runs, N) values in [0, largest], in the order of the parts; two runs or more.
        largest: (N,) upper bounds of a value.

    Example:
        >>> stratified_errors(np.arange(100.0)[:, None], np.array([100.0])).round(3).tolist()
        [0.071]
        >>> standard_errors(np.arange(100.0)[:, None], np.array([100.0])).round(3).tolist()
        [2.901]
    """
    runs = len(values)
    first = np.arange(0, runs - 1, 2)
    pairs = ((values[first] - values[first + 1]) ** 2).sum(axis=0)
    if runs % 2:
        pairs += (values[-1] - values[-2]) ** 2 / 2.0
    return np.asarray(np.sqrt(pairs + _unseen(values, largest)) / runs)


def _unseen(values: FloatArray, largest: FloatArray) -> FloatArray:
    """Square of what one more run at the largest value adds, where few runs carry the mean."""
    squares = (values**2).sum(axis=0)
    carrying = np.divide(
        values.sum(axis=0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0.0
    )
    return np.where(carrying < FEW_RUNS, (largest - values.mean(axis=0)) ** 2, 0.0)
