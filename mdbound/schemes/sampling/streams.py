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


def standard_errors(values: FloatArray, largest: FloatArray) -> FloatArray:
    """Standard error of the means over runs, which does not trust runs that all look alike.

    Rare runs may carry much of a mean and be missing from the sample. So one more run is counted,
    at the largest value that any run can have.

    Args:
        values: (runs, N) values in [0, largest].
        largest: (N,) upper bounds of a value.

    Returns:
        (N,) standard errors, at least about `largest / runs`.

    Example:
        >>> standard_errors(np.zeros((99, 1)), np.array([1.0])).round(6).tolist()
        [0.01005]
    """
    seen = np.concatenate([values, largest[None, :]])
    return np.asarray(seen.std(axis=0, ddof=1) / np.sqrt(len(values)))
