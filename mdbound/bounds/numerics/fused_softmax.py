"""Softmax of raw float32 logits, one row per thread, at the speed of memory and exp.

The kernels of this package start from here: largest logit and a check of the row in one pass over
the bits, then float64 probabilities in a second.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.vector_exp import vector_exp
from mdbound.bounds.problem.array_types import FloatArray, LogitsRow

BLOCK = 512
"""Tokens handled at a time: their float64 values stay in the first cache."""

_PLUS_INFINITY = np.int32(0x7F800000)
_MINUS_INFINITY = np.int32(-0x7F800001)  # as ordered by `largest_logit`


@kernel
def largest_logit(logits: LogitsRow) -> float:
    """Largest logit of a row; NaN if the row holds NaN or +inf, or only `-inf`.

    The bits of float32, with all but the sign flipped for negative numbers, order like the
    numbers as integers, and NaN of either sign lies beyond the infinities. Integer minima and
    maxima run on whole vectors where those of floats do not.

    Example:
        >>> largest_logit(np.array([0.5, 2.0, -np.inf], dtype=np.float32))
        2.0
        >>> largest_logit(np.array([0.5, np.nan], dtype=np.float32))
        nan
    """
    bits = logits.view(np.int32)
    largest = np.int32(-0x80000000)
    smallest = np.int32(0x7FFFFFFF)
    for i in range(len(bits)):
        ordered = np.int32(bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(0x7FFFFFFF)))
        largest = max(largest, ordered)
        smallest = min(smallest, ordered)
    if smallest < _MINUS_INFINITY or largest >= _PLUS_INFINITY or largest == _MINUS_INFINITY:
        return np.nan
    at_largest = np.empty(1, dtype=np.int32)
    at_largest[0] = largest ^ ((largest >> np.int32(31)) & np.int32(0x7FFFFFFF))
    return float(at_largest.view(np.float32)[0])


@kernel(fastmath={"contract"})
def softmax_into(logits: LogitsRow, temperature: float, probabilities: FloatArray) -> bool:
    """Write the softmax of one row at a temperature above 0; False if the row holds no logits.

    Apart from a factor that a row has in common, each probability is right to 4 + 3 |ln p| unit
    roundoffs; see `mass_error` for sums of them.

    Args:
        logits: float32, shape (V,), `-inf` for masked tokens.
        temperature: above 0.
        probabilities: float64, shape (V,), written.

    Example:
        >>> row = np.empty(2)
        >>> softmax_into(np.zeros(2, dtype=np.float32), 1.0, row), row.tolist()
        (True, [0.5, 0.5])
    """
    total = exponentials_into(logits, temperature, probabilities)
    if np.isnan(total):
        return False
    scale = 1.0 / total
    for i in range(len(probabilities)):
        probabilities[i] *= scale
    return True


@kernel(fastmath={"contract"})
def exponentials_into(logits: LogitsRow, temperature: float, exponentials: FloatArray) -> float:
    """Write the softmax but for its denominator, which is returned; NaN if the row is no logits.

    The largest exponential is 1.

    Args:
        logits: as `softmax_into`.
        temperature: above 0.
        exponentials: float64, shape (V,), written.

    Example:
        >>> row = np.empty(2)
        >>> exponentials_into(np.zeros(2, dtype=np.float32), 1.0, row), row.tolist()
        (2.0, [1.0, 1.0])
    """
    largest = largest_logit(logits)
    if np.isnan(largest):
        return np.nan
    inverse = 1.0 / temperature
    total = 0.0
    size = len(logits)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        exp_block(logits[start:stop], largest, inverse, exponentials[start:stop])
        total += block_sum(exponentials[start:stop])
    return total


def mass_error(vocab_size: int) -> float:
    """Error of p(H), in unit roundoffs, for any H and p from `softmax_into`.

    An exponential carries 2.5 roundoffs and 3 |ln p_i| of its argument (a difference, 1 / T and
    their product); the mean of |ln p_i| is at most ln V. The sum over the row has at most
    `BLOCK` - 1 additions in a block and one for each block. The rest are 1 / sum, the product
    with it, and terms of second order.

    Example:
        >>> 600 < mass_error(49152) < 660
        True
    """
    additions = min(vocab_size, BLOCK) + vocab_size / BLOCK
    return 10.0 + 3.0 * math.log(vocab_size) + additions


@kernel(fastmath={"contract"})
def exp_block(logits: LogitsRow, largest: float, inverse: float, values: FloatArray) -> None:
    """Write exp((logits - largest) * inverse) of a short block.

    Sums are taken elsewhere: letting the compiler reorder additions here would let it undo the
    rounding trick of `vector_exp`.

    Example:
        >>> values = np.empty(2)
        >>> exp_block(np.zeros(2, dtype=np.float32), 0.0, 1.0, values)
        >>> values.tolist()
        [1.0, 1.0]
    """
    for i in range(len(logits)):
        values[i] = vector_exp((logits[i] - largest) * inverse)


@kernel(fastmath={"reassoc"})
def block_sum(values: FloatArray) -> float:
    """Sum of a short block in any order, so at most its length of roundings deep.

    Example:
        >>> block_sum(np.ones(3))
        3.0
    """
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total


def softmax_rows(
    logits: npt.NDArray[np.float32], temperature: float, probabilities: FloatArray
) -> npt.NDArray[np.bool_]:
    """`softmax_into` for a batch, rows in parallel; which rows were logits.

    Args:
        logits: float32, shape (B, V).
        temperature: above 0.
        probabilities: float64, shape (B, V), written where the row is logits.

    Example:
        >>> rows = np.empty((1, 2))
        >>> softmax_rows(np.zeros((1, 2), dtype=np.float32), 1.0, rows).tolist(), rows.tolist()
        ([True], [[0.5, 0.5]])
    """
    good = np.zeros(len(logits), dtype=np.bool_)

    def run(chunk: int, chunks: int) -> None:
        for row in range(chunk, len(logits), chunks):
            good[row] = softmax_into(logits[row], float(temperature), probabilities[row])

    run_chunks(run, len(logits))
    return good


def entropy_rows(logits: npt.NDArray[np.float32], temperature: float) -> FloatArray:
    """Entropy in nats of each row's softmax; NaN where the row is no logits.

    With a_i = (logit_i - largest) / temperature and Z the sum of e^(a_i), the entropy is
    ln Z - sum of a_i e^(a_i) / Z: one pass, no logarithm per token.

    Args:
        logits: float32, shape (B, V).
        temperature: above 0.

    Example:
        >>> entropy_rows(np.zeros((1, 4), dtype=np.float32), 1.0).round(6).tolist()
        [1.386294]
    """
    entropy = np.full(len(logits), np.nan)
    run_chunks(
        lambda chunk, chunks: _entropy_rows(logits, float(temperature), chunk, chunks, entropy),
        len(logits),
    )
    return entropy


@kernel
def _entropy_rows(
    logits: npt.NDArray[np.float32], temperature: float, first: int, step: int, entropy: FloatArray
) -> None:
    values, weighted = np.empty(BLOCK), np.empty(BLOCK)
    for row in range(first, len(logits), step):
        largest = largest_logit(logits[row])
        if np.isnan(largest):
            continue
        total = 0.0
        moment = 0.0
        for start in range(0, logits.shape[1], BLOCK):
            block = logits[row, start : start + BLOCK]
            size = len(block)
            exp_block(block, largest, 1.0 / temperature, values[:size])
            for i in range(size):
                # Masked tokens have e^(-inf) = 0 and no share in the moment.
                shifted = (block[i] - largest) / temperature
                weighted[i] = values[i] * shifted if values[i] > 0.0 else 0.0
            total += block_sum(values[:size])
            moment += block_sum(weighted[:size])
        entropy[row] = np.log(total) - moment / total
