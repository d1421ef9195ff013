"""Random streams of Monte Carlo rates: fixed by a seed and by the row itself."""

from __future__ import annotations

import zlib

import numpy as np

from mdbound.bounds.distributions import FloatArray


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
