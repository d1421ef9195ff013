"""Entropy of warped logits."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from mdbound.bounds.array_type import holds_tensor
from mdbound.bounds.distributions import (
    FloatArray,
    check_logits,
    check_warpers,
    distribution_from_logits,
)
from mdbound.bounds.fused_softmax import entropy_rows


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
        from mdbound.bounds import torch_logits

        found = torch_logits.entropy_from_logits(logits, temperature, top_k, top_p)
        return cast(FloatArray, found)
    check_warpers(temperature, top_k, top_p)
    rows = check_logits(np.atleast_2d(np.asarray(logits)))
    if rows.dtype == np.float32 and temperature > 0.0 and top_k is None and top_p in (None, 1.0):
        return entropy_rows(np.ascontiguousarray(rows), temperature)
    p = distribution_from_logits(rows, temperature, top_k, top_p)
    return np.asarray(entr(p).sum(axis=1))
