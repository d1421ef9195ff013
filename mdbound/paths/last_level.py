"""Tails whose last token is summed over the vocabulary, not sampled.

P(tau >= l | the first l - 1 tokens) = f sum over y of min(own(y), c other(y)), with a front f and
a factor c that the rule takes from the tokens before; so level 1 is the optimal acceptance with
one draft, with no sampling error. A row of a text serves L windows, one at each level.
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
