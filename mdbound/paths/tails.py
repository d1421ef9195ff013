"""P(tau >= l): how much of a drafted path each rule accepts, from two numbers a token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.paths.checks import check_draft_length, check_logprobs, check_text
from mdbound.paths.rules import check_side, own_and_other, path_rule


def accepted_tail(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    scheme: str,
    side: str = "target",
) -> FloatArray:
    """P(tau >= l), l = 1..L, of a drafted path, given L tokens of the target or of the draft.

    tau is the number of drafted tokens that are accepted; the call emits tau + 1 tokens. The mean
    over windows of target text, or over drafted paths, is an unbiased estimate of P(tau >= l), and
    1 + the sum over l of tokens per call at such contexts. On every window match <= single_draft
    <= block <= joint.

    Args:
        target_logprob: log p of each token of the window, shape (..., L): natural logarithms after
            temperature, top-k and top-p.
        draft_logprob: log q of the same tokens, same shape; -inf where the draft cannot give one.
        scheme: one of `paths.names()`.
        side: `"target"`: the tokens are text of the target, and the result is P(tau >= l | the
            first l tokens of the output). `"draft"`: they are the drafted tokens, and the result is
            P(tau >= l | x_1, ..., x_l); here log p may be -inf.

    Returns:
        Probabilities of the same shape, not increasing along the last axis for `side="target"`,
        except those of `"joint"`.

    Raises:
        InvalidDistributionError: NaN, values above 0, shapes that differ, or -inf under the law
            that the tokens were drawn from; names the position.
        InvalidSettingError: an unknown scheme or side.

    Source: Leviathan et al. 2023 (`single_draft`), Sun et al. 2024 (`block`), Hu and Huang 2024
    (`asps`); the closed forms are theorems T2, T4 and T6 of `docs/tokens-per-call.md`.

    Example:
        >>> p, q = np.log([1 / 3, 2 / 3]), np.log([2 / 3, 1 / 3])
        >>> accepted_tail(p, q, "single_draft").round(3).tolist()
        [1.0, 0.5]
        >>> accepted_tail(p, q, "block").round(3).tolist()
        [1.0, 1.0]
    """
    rule, checked_side = path_rule(scheme), check_side(side)
    target, draft = check_logprobs(target_logprob, draft_logprob, checked_side)
    own, other = own_and_other(target, draft, checked_side)
    return np.exp(rule.log_tail[checked_side](own, other))


def text_tail(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    draft_length: int,
    scheme: str,
    document: str | None = None,
) -> FloatArray:
    """`accepted_tail` of the windows that start at each token of one text of the target.

    Args:
        target_logprob: log p of the text's tokens, shape (N,).
        draft_logprob: log q, shape (N,).
        draft_length: L.
        scheme: one of `paths.names()`.
        document: the text's name, for messages.

    Returns:
        Shape (N, L): entry (s, l - 1) is P(tau >= l | text) of a call that starts before token s;
        0 where the text has no l tokens from there on.

    Raises:
        InvalidDistributionError: as `accepted_tail`, or fewer than two tokens; names document and
            position.
        InvalidSettingError: an unknown scheme, or a draft length below 1.

    Example:
        >>> text_tail(np.log([0.5, 0.5]), np.log([0.5, 0.25]), 2, "block").tolist()
        [[1.0, 0.5], [0.5, 0.0]]
    """
    rule, length = path_rule(scheme), check_draft_length(draft_length)
    target, draft = check_text(target_logprob, draft_logprob, document)
    # Tokens after the end are ones that the draft never gives.
    own = windows(target, length, 0.0)
    other = windows(draft, length, -np.inf)
    return np.exp(rule.log_tail["target"](own, other))


def windows(values: FloatArray, length: int, after_end: float) -> FloatArray:
    """The windows that start at each of N values, (N, length), filled up after the end.

    Example:
        >>> windows(np.array([1.0, 2.0]), 2, 0.0).tolist()
        [[1.0, 2.0], [2.0, 0.0]]
    """
    padded = np.concatenate([values, np.full(length - 1, after_end)])
    return np.lib.stride_tricks.sliding_window_view(padded, length)
