"""The most likely tokens of a distribution, most likely first, without sorting it."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.vector_exp import float_of_bits
from mdbound.bounds.problem.array_types import FloatArray, IntArray

BLOCK = 512
"""Tokens whose largest is kept: smaller blocks are skipped more often, but there are more."""


@kernel
def most_likely_tokens(draft: FloatArray, count: int) -> IntArray:
    """Ids of the `count` most likely tokens of positive probability, most likely first.

    Ties go to the lower token id. Fewer come back when the support is smaller.

    Example:
        >>> most_likely_tokens(np.array([0.25, 0.0, 0.5, 0.25]), 2).tolist()
        [2, 0]
    """
    top = np.empty(count, dtype=np.int64)
    found = 0
    if count == 0:
        return top
    blocks = (len(draft) + BLOCK - 1) // BLOCK
    largest = np.empty(blocks)
    for block in range(blocks):
        largest[block] = _largest(draft[block * BLOCK : (block + 1) * BLOCK])
    # As many tokens as blocks are at least as likely as the count-th largest of these.
    least = _at_rank(largest, count) if blocks > count else 0.0
    for block in range(blocks):
        if largest[block] < least:
            continue
        for token in range(block * BLOCK, min((block + 1) * BLOCK, len(draft))):
            mass = draft[token]
            if mass < least or mass <= 0.0:
                continue
            if found == count and mass <= draft[top[found - 1]]:
                continue
            place = found if found < count else count - 1
            while place > 0 and draft[top[place - 1]] < mass:
                top[place] = top[place - 1]
                place -= 1
            top[place] = token
            found = min(found + 1, count)
    return top[:found]


@kernel
def _at_rank(values: FloatArray, rank: int) -> float:
    """The rank-th largest value, the first being the largest; by insertion, for small ranks."""
    first = np.empty(rank)
    found = 0
    for i in range(len(values)):
        if found == rank and values[i] <= first[rank - 1]:
            continue
        place = found if found < rank else rank - 1
        while place > 0 and first[place - 1] < values[i]:
            first[place] = first[place - 1]
            place -= 1
        first[place] = values[i]
        found += 1 if found < rank else 0
    return float(first[rank - 1])


@kernel
def _largest(values: FloatArray) -> float:
    """Largest of some values, none negative: their bits order like them, and compare faster."""
    bits = values.view(np.int64)
    largest = np.int64(0)
    for i in range(len(bits)):
        largest = max(largest, bits[i])
    return float_of_bits(int(largest))
