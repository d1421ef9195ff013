"""What is refused before any kernel sees it, each refusal worded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.any_array import host_array
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidDistributionError, InvalidSettingError

MASS_TOLERANCE = 1e-9
"""A row of probabilities may sum to 1 within this; beyond it the row is refused, never rescaled."""

SMALLEST_MASS = 1e-303
"""Laws that renormalise what was not drafted need probabilities of 0 or at least this."""


def check_logits(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the rows as they are, after refusing those that are no logits.

    Args:
        logits: shape (B, V).

    Raises:
        InvalidDistributionError: no tokens, NaN, +inf, or an all-masked row, naming the row.
    """
    check_logits_shape(logits.shape)
    if not np.issubdtype(logits.dtype, np.floating):
        logits = logits.astype(np.float64)
    largest = logits.max(axis=1)
    bad = ~are_logits(largest)
    if not bad.any():
        return logits
    row = int(np.flatnonzero(bad)[0])
    if np.isneginf(largest[row]):
        raise InvalidDistributionError(
            f"row {row}: every logit is -inf, so no token can occur; unmask at least one"
        )
    token = int(np.flatnonzero(np.isnan(logits[row]) | np.isposinf(logits[row]))[0])
    raise InvalidDistributionError(
        f"row {row}: the logit of token {token} is {logits[row, token]}; "
        "logits must be finite, or -inf for a masked token"
    )


def check_logits_shape(shape: tuple[int, ...]) -> None:
    """Refuse what is no batch of rows with at least one token.

    Raises:
        InvalidDistributionError: any shape but (B, V) with V of 1 or more.

    Example:
        >>> check_logits_shape((0, 3))
    """
    if len(shape) != 2 or shape[1] == 0:
        raise InvalidDistributionError(
            f"logits have shape {tuple(shape)}: give (V,) or (B, V) with at least one token"
        )


def are_logits(largest: Any) -> Any:
    """Which rows hold logits, told by their largest values: NaN, inf or -inf where they do not.

    Args:
        largest: maximum of each row, an array or a tensor (B,).

    Example:
        >>> are_logits(np.array([[0.0, -np.inf], [np.nan, 0.0]]).max(axis=1)).tolist()
        [True, False]
    """
    return abs(largest) < math.inf


def are_distributions(rows: Any, smallest: float) -> Any:
    """Which rows hold probabilities, none of them between 0 and the smallest.

    Args:
        rows: float64 arrays or tensors (B, V), NaN allowed.
        smallest: `SMALLEST_MASS` for laws that renormalise, else 0.

    Example:
        >>> are_distributions(np.array([[0.5, 0.5], [0.5, np.nan], [2.0, -1.0]]), 0.0).tolist()
        [True, False, False]
    """
    sums_to_one = abs(rows.sum(axis=1) - 1.0) <= MASS_TOLERANCE  # NaN fails this, and the next
    return sums_to_one & ((rows >= smallest) | (rows == 0.0)).all(axis=1)


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
    # Writeable, because compiled code takes read-only arrays for another type.
    values = np.asarray(host_array(probabilities))
    rows = np.require(np.atleast_2d(values), np.float64, ["C", "W"])
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
            f"target has shape {np.shape(host_array(target))} and draft "
            f"{np.shape(host_array(draft))}: "
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
