"""What is refused of texts and paths before anything is computed, each refusal worded once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.paths.rules import Side

_FIELDS: dict[Side, str] = {"target": "target_logprob", "draft": "draft_logprob"}
_FROM: dict[Side, str] = {"target": "text of the target", "draft": "a path of the draft"}


def check_logprobs(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    side: Side = "target",
    document: str | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return log-probabilities of the same tokens under both laws as float64 arrays.

    Args:
        target_logprob: log p of each token, any shape with a last axis along the tokens.
        draft_logprob: log q, same shape.
        side: whose law the tokens were drawn from; it cannot have given them probability 0.
        document: the text's name, for messages.

    Raises:
        InvalidDistributionError: shapes that differ, NaN, a value above 0, or -inf under the law
            that the tokens were drawn from; names document and position.

    Example:
        >>> check_logprobs([-1.0, 0.5], [-1.0, -1.0])
        Traceback (most recent call last):
        mdbound.errors.InvalidDistributionError: `target_logprob` at position 1 is 0.5: give
        natural logarithms of probabilities, 0 or less
    """
    target = _check_values(target_logprob, "target_logprob", document)
    draft = _check_values(draft_logprob, "draft_logprob", document)
    if target.shape != draft.shape or target.ndim == 0:
        raise InvalidDistributionError(
            f"{_of(document)}`target_logprob` has shape {target.shape} and `draft_logprob` "
            f"{draft.shape}: give one value of each for every token"
        )
    own = {"target": target, "draft": draft}[side]
    never = np.isneginf(own)
    if never.any():
        raise InvalidDistributionError(
            f"{_of(document)}`{_FIELDS[side]}` at {_place(never)} is -inf, so this is not "
            f"{_FROM[side]}: check temperature, top_k and top_p of the run that wrote it, or cut "
            "the text there (`paths.length_inside_support`)"
        )
    return target, draft


def check_text(
    target_logprob: npt.ArrayLike, draft_logprob: npt.ArrayLike, document: str | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the log-probabilities of one text of the target, shape (N,) each.

    Raises:
        InvalidDistributionError: as `check_logprobs`, or a text that is no sequence of at least
            two tokens.

    Example:
        >>> check_text([-1.0], [-1.0], "doc-7")
        Traceback (most recent call last):
        mdbound.errors.InvalidDistributionError: document 'doc-7': the text has 1 token: give 2 or
        more, or leave it out
    """
    target, draft = check_logprobs(target_logprob, draft_logprob, "target", document)
    if target.ndim != 1:
        raise InvalidDistributionError(
            f"{_of(document)}`target_logprob` has shape {target.shape}: give one text, shape (N,)"
        )
    check_text_length(len(target), document)
    return target, draft


def check_text_length(tokens: int, document: str | None = None) -> None:
    """Refuse a text of fewer than two tokens, in which no drafted token can be accepted.

    Raises:
        InvalidDistributionError: 0 or 1 token.

    Example:
        >>> check_text_length(2)
    """
    if tokens < 2:
        raise InvalidDistributionError(
            f"{_of(document)}the text has {tokens} token{'s' if tokens != 1 else ''}: give 2 or "
            "more, or leave it out"
        )


def check_draft_length(draft_length: Any) -> int:
    """Return the number of drafted tokens of a path, L, or refuse it.

    Raises:
        InvalidSettingError: not a whole number, or below 1.

    Example:
        >>> check_draft_length(4)
        4
    """
    whole = isinstance(draft_length, int | np.integer) and not isinstance(draft_length, bool)
    if not whole or draft_length < 1:
        raise InvalidSettingError(
            f"`draft_length` is {draft_length!r}: give a whole number of drafted tokens, 1 or more"
        )
    return int(draft_length)


def check_probabilities(values: npt.ArrayLike, field: str, largest: float) -> FloatArray:
    """Return non-negative numbers as float64, or refuse them.

    Args:
        values: any shape with a last axis along the tokens.
        field: what to call them in a message.
        largest: the largest that is allowed; rounding apart, 1 for probabilities.

    Raises:
        InvalidDistributionError: NaN, below 0, or above the largest; names the position.

    Example:
        >>> check_probabilities([0.5, 1.0], "token_acceptance", 1.0).tolist()
        [0.5, 1.0]
    """
    array = _as_floats(values, field, None)
    bad = ~((array >= 0.0) & (array <= largest))
    if bad.any() or array.ndim == 0:
        where = f"at {_place(bad)} is {float(array[bad][0])}" if bad.any() else "is one number"
        raise InvalidDistributionError(
            f"`{field}` {where}: give an array of numbers from 0 to {largest:g}"
        )
    return array


def _check_values(values: npt.ArrayLike, field: str, document: str | None) -> FloatArray:
    array = _as_floats(values, field, document)
    bad = ~(array <= 0.0)  # NaN fails every comparison
    if bad.any():
        raise InvalidDistributionError(
            f"{_of(document)}`{field}` at {_place(bad)} is {float(array[bad].flat[0])}: give "
            "natural logarithms of probabilities, 0 or less"
        )
    return array


def _as_floats(values: npt.ArrayLike, field: str, document: str | None) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidDistributionError(
            f"{_of(document)}`{field}` holds what is no number, or rows of different lengths: "
            "give one number for every token"
        ) from None


def _of(document: str | None) -> str:
    return "" if document is None else f"document {document!r}: "


def _place(bad: npt.NDArray[np.bool_]) -> str:
    """The first bad entry: a position, and the rows it stands in."""
    *rows, position = (int(index) for index in np.argwhere(bad)[0])
    return f"position {position}" + "".join(f" of row {row}" for row in rows)
