"""Where the calls of a text start: the O(N L) recursion that needs no sampling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.paths.checks import check_draft_length
from mdbound.paths.rules import stateless_rule
from mdbound.paths.tails import text_tail


@kernel
def _fill(tail: FloatArray, starts: FloatArray) -> None:
    # A call at s that accepts l tokens is followed by one at s + l + 1; none starts at N.
    tokens, length = tail.shape
    starts[0] = 1.0
    for s in range(tokens):
        here = starts[s]
        reached = 1.0
        levels = min(length, tokens - s - 1)
        for l in range(levels):
            starts[s + l + 1] += here * (reached - tail[s, l])
            reached = tail[s, l]
        starts[s + levels + 1] += here * reached


def call_starts(tail: FloatArray) -> FloatArray:
    """P(a target call starts before token s), s = 0..N - 1, given a text.

    A call is independent of the calls before it, given the output, when its rule is stateless
    (theorem T4): so the recursion over s is exact, for any text that the target can write.

    Args:
        tail: P(tau >= l | text) of a call that starts at each token, shape (N, L), as `text_tail`
            has it. What it says of tokens beyond the last but one plays no part: a call that
            accepts as many ends the text.

    Returns:
        Shape (N,); the sum is E[target calls | text].

    Example:
        >>> call_starts(np.array([[0.5], [0.5], [0.5]])).tolist()
        [1.0, 0.5, 0.75]
    """
    starts = np.zeros(len(tail) + 1)
    _fill(np.ascontiguousarray(tail), starts)
    return starts[:-1]


def expected_calls(
    target_logprob: npt.ArrayLike, draft_logprob: npt.ArrayLike, draft_length: int, scheme: str
) -> float:
    """E[target calls | text]: calls that write this text with drafts of L tokens, exactly.

    Free of draft noise, of verification noise, and of the bias of averaging over all positions
    where calls start more often behind bad drafts. It holds for any text of positive probability,
    given that it is the output; averaged over texts that the target wrote it is unbiased.

    Args:
        target_logprob: log p of the text's tokens, shape (N,), N of at least 2: natural logarithms
            after temperature, top-k and top-p.
        draft_logprob: log q of the same tokens; -inf where the draft cannot give one.
        draft_length: L, tokens drafted before each call.
        scheme: one of `paths.names()` but `"joint"`.

    Raises:
        InvalidDistributionError: NaN, values above 0, lengths that differ or are below 2, or a
            token that the target cannot give; names the position.
        InvalidSettingError: an unknown scheme, `"joint"`, or a draft length below 1.

    Source: theorem T4 of `docs/tokens-per-call.md`.

    Example:
        >>> p = np.array([1, 2, 1, 2, 2]) / 3
        >>> round(expected_calls(np.log(p), np.log(1 - p), 3, "block"), 12)
        2.0
    """
    stateless_rule(scheme)
    tail = text_tail(target_logprob, draft_logprob, check_draft_length(draft_length), scheme)
    return float(call_starts(tail).sum())
