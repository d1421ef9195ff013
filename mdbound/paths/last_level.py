"""Tails whose last token is summed over the vocabulary, not sampled.

P(tau >= l | the first l - 1 tokens) = f sum over y of min(own(y), c other(y)), with a front f and
a factor c that the rule takes from the tokens before; so level 1 is the optimal acceptance with
one draft, with no sampling error. A row of a text serves L windows, one at each level: either all
rows of a text are given in their order, or some rows, each with the L - 1 tokens before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.checks import check_pair
from mdbound.errors import InvalidDistributionError, refuse_unknown
from mdbound.paths.checks import check_draft_length, check_logprobs
from mdbound.paths.rules import Side, check_side, own_and_other
from mdbound.paths.scaled_overlap import scaled_overlaps

FrontAndScale: TypeAlias = tuple[FloatArray, FloatArray]
"""log f and log c, each (W, L), from running quantities of the tokens before each level."""


def _token_by_token(own: FloatArray, other: FloatArray) -> FrontAndScale:
    front = _before(np.cumsum(np.minimum(other - own, 0.0), axis=1))
    return front, np.zeros_like(front)


def _block_of_text(own: FloatArray, other: FloatArray) -> FrontAndScale:
    run = _before(np.cumsum(other - own, axis=1))
    front = np.minimum(np.minimum.accumulate(run, axis=1), 0.0)
    # Nothing passes any more where the front is 0, whatever the scale.
    scale = np.subtract(run, front, out=np.zeros_like(run), where=~np.isneginf(front))
    return front, scale


def _block_of_path(own: FloatArray, other: FloatArray) -> FrontAndScale:
    run = _before(np.cumsum(other - own, axis=1))
    scale = run - np.maximum(np.maximum.accumulate(run, axis=1), 0.0)
    return np.zeros_like(run), scale


def _joint(own: FloatArray, other: FloatArray) -> FrontAndScale:
    run = _before(np.cumsum(other - own, axis=1))
    return np.zeros_like(run), run


LAST_LEVELS: dict[str, dict[Side, Callable[[FloatArray, FloatArray], FrontAndScale]]] = {
    "single_draft": {"target": _token_by_token, "draft": _token_by_token},
    "block": {"target": _block_of_text, "draft": _block_of_path},
    "asps": {"target": _block_of_text, "draft": _block_of_path},
    "joint": {"target": _joint, "draft": _joint},
}
"""By rule and side; `"match"` has another last level, a product of the two rows, and none here."""


def last_level_tail(
    rows: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]],
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    draft_length: int,
    scheme: str,
    side: str = "target",
) -> FloatArray:
    """P(tau >= l | the first l - 1 tokens) for every full window of one text, l = 1..L.

    Unbiased as `accepted_tail` is, with less variance; level 1 has none from tokens. Not for calls
    of a given text, which are exact already.

    Args:
        rows: batches of rows (target, draft), each (B, V), in the order of the text's tokens, N
            rows in all; they are read one after the other.
        target_logprob: log p of the text's tokens, shape (N,).
        draft_logprob: log q, shape (N,).
        draft_length: L. A drafted path is a text of N = L tokens.
        scheme: one of `paths.names()` but `"match"`.
        side: whose law the tokens were drawn from.

    Returns:
        Shape (N - L + 1, L).

    Raises:
        InvalidDistributionError: rows or log-probabilities that are none, fewer rows than tokens
            or more, or a text shorter than L.
        InvalidSettingError: an unknown scheme or side, or a draft length below 1.

    Example:
        >>> p, q = np.array([[0.5, 0.5]] * 2), np.array([[0.25, 0.75]] * 2)
        >>> last_level_tail([(p, q)], np.log([0.5, 0.5]), np.log([0.25, 0.25]), 2, "block").tolist()
        [[0.75, 0.375]]
    """
    length, checked_side = check_draft_length(draft_length), check_side(side)
    refuse_unknown([scheme], LAST_LEVELS, "`scheme`")
    logprobs = check_logprobs(target_logprob, draft_logprob, checked_side)
    tokens = len(logprobs[0])
    if logprobs[0].ndim != 1 or tokens < length:
        raise InvalidDistributionError(
            f"`target_logprob` has shape {logprobs[0].shape}: give one text of at least "
            f"`draft_length` {length} tokens"
        )
    own, other = (
        np.lib.stride_tricks.sliding_window_view(one, length)
        for one in own_and_other(*logprobs, checked_side)
    )
    front, scale = LAST_LEVELS[scheme][checked_side](own, other)
    overlap = np.empty_like(front)
    first = 0
    for target, draft in rows:
        p, q = check_pair(target, draft)
        if first + len(p) > tokens:
            raise InvalidDistributionError(f"`rows` has more than {tokens} rows: one a token")
        pair = own_and_other(p, q, checked_side)
        _fill(overlap, scale, pair, first)
        first += len(p)
    if first != tokens:
        raise InvalidDistributionError(f"`rows` has {first} rows for {tokens} tokens: one a token")
    return np.minimum(np.exp(front) * overlap, 1.0)


def last_level_of_rows(
    target: npt.ArrayLike,
    draft: npt.ArrayLike,
    target_before: npt.ArrayLike,
    draft_before: npt.ArrayLike,
    scheme: str,
    side: str = "target",
) -> FloatArray:
    """P(tau >= l | the first l - 1 tokens) for the windows of l = 1..L tokens that end at each row.

    For texts that are read in pieces: a row needs no more of its text than the L - 1 tokens before.

    Args:
        target: rows of p, shape (B, V), after temperature, top-k and top-p.
        draft: rows of q, the same shape.
        target_before: log p of the L - 1 tokens before each row, the nearest last, shape
            (B, L - 1); NaN where there is no such token.
        draft_before: log q of the same tokens.
        scheme: one of `paths.names()` but `"match"`.
        side: whose law the tokens were drawn from.

    Returns:
        Shape (B, L); NaN where the window would begin before the first token known.
        `last_level_windows` puts those of a text together.

    Raises:
        InvalidDistributionError: rows that are none, or tokens before of another shape.
        InvalidSettingError: an unknown scheme or side.

    Example:
        >>> p, q, before = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]), np.log([[0.5]])
        >>> last_level_of_rows(p, q, before, before + np.log(0.5), "block").tolist()
        [[0.75, 0.375]]
    """
    checked_side = check_side(side)
    refuse_unknown([scheme], LAST_LEVELS, "`scheme`")
    p, q = check_pair(target, draft)
    before = [np.asarray(one, dtype=np.float64) for one in (target_before, draft_before)]
    if before[0].ndim != 2 or before[0].shape != before[1].shape or len(before[0]) != len(p):
        raise InvalidDistributionError(
            f"`target_before` has shape {before[0].shape} and `draft_before` {before[1].shape}: "
            f"give as many tokens for each of {len(p)} rows"
        )
    own, other = own_and_other(before[0], before[1], checked_side)
    front, scale = _of_each_level(own, other, LAST_LEVELS[scheme][checked_side])
    known = ~np.isnan(scale)
    scale = np.where(known, scale, 0.0)
    if (scale == scale[:, :1]).all():  # token by token: one pass serves all levels
        scale = scale[:, :1]
    overlap = scaled_overlaps(*own_and_other(p, q, checked_side), scale)
    return np.where(known, np.minimum(np.exp(front) * overlap, 1.0), np.nan)


def last_level_windows(levels: npt.ArrayLike, draft_length: int) -> FloatArray:
    """The windows of L tokens of a text, each from the rows of its tokens.

    Args:
        levels: of `last_level_of_rows`, all rows of one text in their order, shape (N, at least L).
        draft_length: L.

    Returns:
        Shape (max(N - L + 1, 0), L), as `last_level_tail` has it.

    Raises:
        InvalidDistributionError: fewer levels than L.
        InvalidSettingError: a draft length below 1.

    Example:
        >>> last_level_windows([[0.9, np.nan], [0.8, 0.7], [0.6, 0.5]], 2).tolist()
        [[0.9, 0.7], [0.8, 0.5]]
    """
    length, found = check_draft_length(draft_length), np.asarray(levels, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] < length:
        raise InvalidDistributionError(
            f"`levels` has shape {found.shape}: give {length} or more for each row"
        )
    count, level = max(len(found) - length + 1, 0), np.arange(length)
    return np.asarray(found[np.arange(count)[:, None] + level, level])


def _of_each_level(
    own: FloatArray, other: FloatArray, rule: Callable[[FloatArray, FloatArray], FrontAndScale]
) -> FrontAndScale:
    """Log f and log c of windows of 1..L tokens that end at a row, from the L - 1 before it."""
    last = np.zeros((len(own), 1))  # its value matters to no level
    fronts, scales = [], []
    for first in reversed(range(own.shape[1] + 1)):
        window = (np.concatenate([one[:, first:], last], axis=1) for one in (own, other))
        front, scale = rule(*window)
        fronts.append(front[:, -1])
        scales.append(np.where(np.isnan(own[:, first:]).any(axis=1), np.nan, scale[:, -1]))
    return np.stack(fronts, axis=1), np.stack(scales, axis=1)


def _fill(
    overlap: FloatArray, scale: FloatArray, rows: tuple[FloatArray, FloatArray], first: int
) -> None:
    """The overlaps of a batch of rows: row i is level l of the window that starts at i - l + 1."""
    count, length = scale.shape
    levels = np.arange(length)
    window = first + np.arange(len(rows[0]))[:, None] - levels
    inside = (window >= 0) & (window < count)
    place = np.where(inside, window, 0), np.broadcast_to(levels, window.shape)
    found = scaled_overlaps(*rows, np.where(inside, scale[place], 0.0))
    overlap[place[0][inside], place[1][inside]] = found[inside]


def _before(running: FloatArray) -> FloatArray:
    """Running sums before each level: 0 at the first."""
    return np.concatenate([np.zeros((len(running), 1)), running[:, :-1]], axis=1)
