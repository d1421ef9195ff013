"""Distributions and entropies of rows of logits, after the warpers of `transformers`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from mdbound.bounds.numerics.fused_softmax import entropy_rows, softmax_rows
from mdbound.bounds.numerics.nucleus import keep_nucleus
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT
from mdbound.bounds.problem.array_type import holds_tensor
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.checks import check_logits, check_warpers


def distribution_from_logits(
    logits: npt.ArrayLike,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> FloatArray:
    """Softmax of logits after the warpers of `transformers`, in their order, in float64.

    Temperature divides the logits, then top-k keeps every token at or above the k-th largest
    logit (ties stay), then top-p keeps the most likely tokens until their mass reaches `top_p`
    (a token stays while the mass before it is below `top_p`; among equal logits the lower token
    id comes first). Temperature 0 is the argmax, ties to the lower token id.

    Args:
        logits: shape (V,) or (B, V), any float type; `-inf` marks a token that cannot occur.
            A torch tensor gives a tensor on the same device.
        temperature: at least 0.
        top_k: at least 1, or None; values above V keep everything.
        top_p: in (0, 1], or None.

    Returns:
        Probabilities of the same shape, float64; each row sums to 1 within a few ulps.

    Raises:
        InvalidDistributionError: a logit is NaN or +inf, or a row is all `-inf`.
        InvalidSettingError: a parameter is outside its range.

    Example:
        >>> distribution_from_logits([0.0, 0.0, -np.inf]).tolist()
        [0.5, 0.5, 0.0]
        >>> distribution_from_logits([3.0, 1.0, 3.0], temperature=0.0).tolist()
        [1.0, 0.0, 0.0]
        >>> distribution_from_logits([3.0, 1.0, 2.0], top_k=2).round(3).tolist()
        [0.731, 0.0, 0.269]
    """
    if holds_tensor(logits):
        from mdbound.bounds.device import logits as torch_logits

        warped = torch_logits.distribution_from_logits(logits, temperature, top_k, top_p)
        return cast(FloatArray, warped)
    check_warpers(temperature, top_k, top_p)
    array = np.asarray(logits)
    rows = check_logits(np.atleast_2d(array))
    if temperature == 0.0:
        probabilities = np.zeros(rows.shape)
        probabilities[np.arange(len(rows)), rows.argmax(axis=1)] = 1.0
        return probabilities.reshape(array.shape)
    if top_k is not None and top_k < rows.shape[1]:
        kth_largest = np.partition(rows, -top_k, axis=1)[:, -top_k, None]
        rows = np.where(rows < kth_largest, rows.dtype.type(-np.inf), rows)
    probabilities = _softmax(rows, temperature)
    if top_p is not None and top_p < 1.0:
        keep_nucleus(probabilities, top_p)
    return probabilities.reshape(array.shape)


def entropy_from_logits(
    logits: npt.ArrayLike,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> FloatArray:
    """Entropy in nats of `distribution_from_logits` with the same arguments, row by row.

    Raw float32 rows without truncation take one pass and no probabilities are stored.

    Args:
        logits: shape (B, V). A torch tensor gives a tensor on the same device.
        temperature: at least 0.
        top_k: as `distribution_from_logits`.
        top_p: likewise.

    Returns:
        Shape (B,).

    Raises:
        InvalidDistributionError: a logit is NaN or +inf, or a row is all `-inf`.
        InvalidSettingError: a parameter is outside its range.

    Example:
        >>> entropy_from_logits([[0.0, 0.0], [0.0, -np.inf]]).round(6).tolist()
        [0.693147, 0.0]
    """
    if holds_tensor(logits):
        from mdbound.bounds.device import logits as torch_logits

        found = torch_logits.entropy_from_logits(logits, temperature, top_k, top_p)
        return cast(FloatArray, found)
    check_warpers(temperature, top_k, top_p)
    rows = check_logits(np.atleast_2d(np.asarray(logits)))
    if rows.dtype == np.float32 and temperature > 0.0 and top_k is None and top_p in (None, 1.0):
        return entropy_rows(np.ascontiguousarray(rows), temperature)
    p = distribution_from_logits(rows, temperature, top_k, top_p)
    return np.asarray(entr(p).sum(axis=1))


def _softmax(rows: npt.NDArray[Any], temperature: float) -> FloatArray:
    """Softmax of checked rows; raw float32 rows, what captures hold, go through the kernel."""
    probabilities = np.empty(rows.shape)
    if rows.dtype == np.float32:
        softmax_rows(np.ascontiguousarray(rows), temperature, probabilities)
        return probabilities
    wide = rows.astype(np.float64)  # half precision would subtract in half precision
    np.subtract(wide, wide.max(axis=1, keepdims=True), out=probabilities)
    probabilities /= temperature
    probabilities[probabilities < SMALLEST_EXPONENT] = -np.inf
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities
