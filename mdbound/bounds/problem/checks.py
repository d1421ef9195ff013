"""Distributions over a vocabulary: from logits, and checked before any kernel sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_type import holds_tensor
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidDistributionError, InvalidSettingError

MASS_TOLERANCE = 1e-9
"""A row of probabilities may sum to 1 within this; beyond it the row is refused, never rescaled."""

SMALLEST_TEMPERATURE = 1e-300
"""Temperatures between 0 and this are refused: their inverse is close to overflow."""

SMALLEST_MASS = 1e-303
"""Laws that renormalise what was not drafted need probabilities of 0 or at least this."""


def check_warpers(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Refuse a temperature below 0, a top-k below 1, a top-p outside (0, 1].

    Raises:
        InvalidSettingError: with the value and the range.

    Example:
        >>> check_warpers(1.0, 50, 0.9)
    """
    if not (np.isfinite(temperature) and temperature >= 0.0):
        raise InvalidSettingError(f"temperature is {temperature}: give a finite number, 0 or more")
    if 0.0 < temperature < SMALLEST_TEMPERATURE:
        raise InvalidSettingError(
            f"temperature is {temperature}: give 0, or at least {SMALLEST_TEMPERATURE}"
        )
    if top_k is not None and top_k < 1:
        raise InvalidSettingError(f"top_k is {top_k}: give 1 or more, or leave it out")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise InvalidSettingError(f"top_p is {top_p}: give a number in (0, 1], or leave it out")


def check_logits(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the rows as they are, after refusing those that are no logits.

    Args:
        logits: shape (B, V).

    Raises:
        InvalidDistributionError: no tokens, NaN, +inf, or an all-masked row, naming the row.
    """
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise InvalidDistributionError(
            f"logits have shape {logits.shape}: give (V,) or (B, V) with at least one token"
        )
    if not np.issubdtype(logits.dtype, np.floating):
        logits = logits.astype(np.float64)
    largest = logits.max(axis=1)
    if np.isfinite(largest).all():
        return logits
    row = int(np.flatnonzero(~np.isfinite(largest))[0])
    if np.isneginf(largest[row]):
        raise InvalidDistributionError(
            f"row {row}: every logit is -inf, so no token can occur; unmask at least one"
        )
    token = int(np.flatnonzero(np.isnan(logits[row]) | np.isposinf(logits[row]))[0])
    raise InvalidDistributionError(
        f"row {row}: the logit of token {token} is {logits[row, token]}; "
        "logits must be finite, or -inf for a masked token"
    )


def check_distribution(probabilities: npt.ArrayLike, name: str) -> FloatArray:
    """Return probabilities as contiguous float64 rows (B, V), or refuse them.

    Nothing is rescaled: a row whose mass is off by more than `MASS_TOLERANCE` is an error.

    Args:
        probabilities: shape (V,) or (B, V); tensors are copied to the host.
        name: what to call the array in a message, such as "target".

    Raises:
        InvalidDistributionError: wrong shape, NaN, a negative entry, or mass other than 1.

    Example:
        >>> check_distribution([0.25, 0.75], "target").shape
        (1, 2)
    """
    if holds_tensor(probabilities):
        from mdbound.bounds.device import tensors as torch_tensors

        probabilities = torch_tensors.to_host(probabilities)
    # Writeable, because compiled code takes read-only arrays for another type.
    rows = np.require(np.atleast_2d(np.asarray(probabilities)), np.float64, ["C", "W"])
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise InvalidDistributionError(
            f"{name} has shape {rows.shape}: give (V,) or (B, V) with at least one token"
        )
    bad = ~(rows >= 0.0)
    if bad.any():
        row, token = (int(index) for index in np.argwhere(bad)[0])
        raise InvalidDistributionError(
            f"{name} row {row}: the probability of token {token} is {rows[row, token]}; "
            "probabilities must be 0 or more"
        )
    mass = rows.sum(axis=1)
    off = ~(np.abs(mass - 1.0) <= MASS_TOLERANCE)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise InvalidDistributionError(
            f"{name} row {row} sums to {float(mass[row])!r}, not to 1 within {MASS_TOLERANCE}; "
            "normalise it in float64, or use distribution_from_logits"
        )
    return rows


def check_pair(target: npt.ArrayLike, draft: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check a target and a draft over one vocabulary; both come back as rows (B, V).

    A single row on one side is repeated to match a batch on the other.

    Raises:
        InvalidDistributionError: as `check_distribution`, or the shapes do not match.

    Example:
        >>> p, q = check_pair([1.0, 0.0], [[0.5, 0.5], [0.0, 1.0]])
        >>> p.shape, q.shape
        ((2, 2), (2, 2))
    """
    p = check_distribution(target, "target")
    q = check_distribution(draft, "draft")
    if p.shape[1] != q.shape[1] or (p.shape[0] != q.shape[0] and 1 not in (len(p), len(q))):
        raise InvalidDistributionError(
            f"target has shape {np.shape(target)} and draft {np.shape(draft)}: "
            "give the same vocabulary and the same number of rows"
        )
    batch = max(len(p), len(q))
    return repeat_rows(p, batch), repeat_rows(q, batch)


def repeat_rows(rows: FloatArray, batch: int) -> FloatArray:
    """One row as often as a batch has rows, anything else as it is.

    Example:
        >>> repeat_rows(np.ones((1, 2)), 3).shape
        (3, 2)
    """
    return rows if len(rows) == batch else np.repeat(rows, batch, axis=0)


def refuse_vanishing(draft: FloatArray) -> None:
    """Refuse draft probabilities between 0 and `SMALLEST_MASS`, for laws that renormalise.

    Sequential draws depend on ratios of the smallest probabilities, which float64 cannot hold
    when they are close to its own smallest numbers.

    Raises:
        InvalidDistributionError: naming row and token.

    Example:
        >>> refuse_vanishing(np.array([[1.0, 0.0]]))
    """
    vanishing = (draft > 0.0) & (draft < SMALLEST_MASS)
    if vanishing.any():
        row, token = (int(index) for index in np.argwhere(vanishing)[0])
        raise InvalidDistributionError(
            f"draft row {row}: the probability of token {token} is {draft[row, token]}, too close "
            f"to the smallest numbers to renormalise by; set what is below {SMALLEST_MASS} to 0"
        )


def check_num_drafts(num_drafts: int, name: str = "num_drafts") -> int:
    """Return the number of drafts as an int, or refuse anything below 1.

    Raises:
        InvalidSettingError: not a whole number, or below 1.

    Example:
        >>> check_num_drafts(3)
        3
    """
    if isinstance(num_drafts, bool) or not isinstance(num_drafts, int | np.integer):
        raise InvalidSettingError(f"{name} is {num_drafts!r}: give a whole number, 1 or more")
    if num_drafts < 1:
        raise InvalidSettingError(f"{name} is {num_drafts}: give 1 or more")
    return int(num_drafts)
