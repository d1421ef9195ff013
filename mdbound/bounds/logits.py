"""Distributions and entropies of rows of logits, after the warpers of `transformers`."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.fused_softmax import entropy_rows
from mdbound.bounds.numerics.warped_softmax import warped_softmax
from mdbound.bounds.problem.any_array import holds_tensor, plain_floats
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.checks import check_logits
from mdbound.bounds.problem.warpers import Warpers


def distribution_from_logits(
    logits: npt.ArrayLike,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> FloatArray:
    """Softmax of logits after the warpers of `transformers`, in their order, in float64.

    Temperature divides the logits, then top-k keeps every token at or above the k-th largest
    logit (ties stay), then top-p keeps the most likely tokens until their mass reaches `top_p`
    (a token stays while the mass before it is below `top_p`; among equal logits the lower token
    id comes first), then min-p keeps every token at least `min_p` times as likely as the most
    likely one. Temperature 0 is the argmax, ties to the lower token id.

    Args:
        logits: shape (V,) or (B, V), any float type; `-inf` marks a token that cannot occur.
            A torch tensor gives a tensor on the same device.
        temperature: at least 0.
        top_k: at least 1, or None; values above V keep everything.
        top_p: in (0, 1], or None.
        min_p: in [0, 1], or None.

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
    warpers = Warpers(temperature, top_k, top_p, min_p)
    if holds_tensor(logits):
        from mdbound.bounds.device import logits as device_logits

        return cast(FloatArray, device_logits.distributions(logits, warpers))
    array = np.asarray(logits)
    rows = check_logits(plain_floats(np.atleast_2d(array)))
    return warped_softmax(rows, warpers).reshape(array.shape)


def entropy_from_logits(
    logits: npt.ArrayLike,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> FloatArray:
    """Entropy in nats of `distribution_from_logits` with the same arguments, row by row.

    Raw float32 rows without truncation take one pass and no probabilities are stored.

    Args:
        logits: shape (B, V). A torch tensor gives a tensor on the same device.
        temperature: at least 0.
        top_k: as `distribution_from_logits`.
        top_p: likewise.
        min_p: likewise.

    Returns:
        Shape (B,).

    Raises:
        InvalidDistributionError: a logit is NaN or +inf, or a row is all `-inf`.
        InvalidSettingError: a parameter is outside its range.

    Example:
        >>> entropy_from_logits([[0.0, 0.0], [0.0, -np.inf]]).round(6).tolist()
        [0.693147, 0.0]
    """
    warpers = Warpers(temperature, top_k, top_p, min_p)
    if holds_tensor(logits):
        from mdbound.bounds.device import logits as device_logits

        return cast(FloatArray, device_logits.entropies(logits, warpers))
    rows = check_logits(plain_floats(np.atleast_2d(np.asarray(logits))))
    if rows.dtype == np.float32 and warpers.is_softmax(rows.shape[1]):
        return entropy_rows(rows, warpers.temperature)
    from scipy.special import entr

    return np.asarray(entr(warped_softmax(rows, warpers)).sum(axis=1))
