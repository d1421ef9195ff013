"""Probabilities of rows of logits after the warpers: the one place where arrays are warped."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.fused_softmax import softmax_rows
from mdbound.bounds.numerics.nucleus import keep_nucleus
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT
from mdbound.bounds.problem.any_array import plain_floats
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.small_problems import is_small
from mdbound.bounds.problem.warpers import Warpers


def warped_softmax(rows: npt.NDArray[Any], warpers: Warpers) -> FloatArray:
    """Distributions of checked rows of logits, in float64.

    Args:
        rows: any float type, shape (B, V), each row with a finite maximum.
        warpers: what is done to them.

    Returns:
        Shape (B, V).

    Example:
        >>> warped_softmax(np.array([[3.0, 1.0, 2.0]]), Warpers(top_k=2)).round(3).tolist()
        [[0.731, 0.0, 0.269]]
    """
    if warpers.temperature == 0.0:
        probabilities = np.zeros(rows.shape)
        probabilities[np.arange(len(rows)), rows.argmax(axis=1)] = 1.0
        return probabilities
    top_k, top_p = warpers.top_k, warpers.top_p
    if top_k is not None and top_k < rows.shape[1]:
        kth_largest = np.partition(rows, -top_k, axis=1)[:, -top_k, None]
        rows = np.where(rows < kth_largest, rows.dtype.type(-np.inf), rows)
    probabilities = _softmax(rows, warpers.temperature)
    if top_p is not None and top_p < 1.0:
        keep_nucleus(probabilities, top_p)
    if warpers.min_p is not None and warpers.min_p > 0.0:
        _keep_likely(probabilities, warpers.min_p)
    return probabilities


def _keep_likely(probabilities: FloatArray, min_p: float) -> None:
    """Zero what is less likely than `min_p` times the most likely token of its row, in place."""
    least = min_p * probabilities.max(axis=1, keepdims=True)
    probabilities[probabilities < least] = 0.0
    probabilities /= probabilities.sum(axis=1, keepdims=True)


def _softmax(rows: npt.NDArray[Any], temperature: float) -> FloatArray:
    """Softmax of checked rows; raw float32 rows, what captures hold, go through the kernel."""
    probabilities = np.empty(rows.shape)
    if rows.dtype == np.float32 and not is_small(rows):
        softmax_rows(plain_floats(rows), temperature, probabilities)
        return probabilities
    wide = rows.astype(np.float64)  # half precision would subtract in half precision
    np.subtract(wide, wide.max(axis=1, keepdims=True), out=probabilities)
    probabilities /= temperature
    probabilities[probabilities < SMALLEST_EXPONENT] = -np.inf
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities
