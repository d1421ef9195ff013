"""What a text adds to both tails and to its calls, in sums that several texts add up to.

Two tails, two names. `tail_positions` is the mean over all positions of the text; `tail_calls` the
mean over the positions where calls start, which are more often those where drafting is bad. Tokens
per call, serving profiles and speed-ups rest on the second: 1 + its sum = tokens / calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidDistributionError, InvalidSettingError, refuse_unknown
from mdbound.paths.call_starts import call_starts
from mdbound.paths.checks import check_draft_length
from mdbound.paths.rules import path_rule
from mdbound.paths.tails import text_tail

FINISH_REASONS = {"stop": False, "length": True}
"""How a text ended, as servers say it, and whether its limit cut it: by its end token, or not."""

LARGEST_SHARE_OUTSIDE = 1e-3
"""Share of positions with a token outside the target's support above which a text is refused:
rounding flips the last token of a top-k or top-p cut about once in many thousands of positions, and
another temperature or another model is seen at once."""


@dataclass(frozen=True)
class PathTally:
    """Sums over one text, or over several by `+`, for one rule and one draft length.

    Attributes:
        scheme: the rule.
        draft_length: L.
        positions: windows of L tokens that lie in the text.
        accepted_at_positions: sum over them of P(tau >= l), shape (L,).
        starts: positions at which a counted call may start: all N of a text that ended by its end
            token, N - L of one that was cut by its limit.
        calls: expected number of counted calls; None for a rule that has none.
        tokens: expected number of tokens that they emit.
        accepted_at_calls: expected number of counted calls that accept l tokens or more, shape
            (L,).
    """

    scheme: str
    draft_length: int
    positions: int
    accepted_at_positions: FloatArray
    starts: int
    calls: float | None
    tokens: float | None
    accepted_at_calls: FloatArray | None

    @property
    def tail_positions(self) -> FloatArray:
        """P(tau >= l), l = 1..L, averaged over positions with a full window; NaN without any."""
        return _ratio(self.accepted_at_positions, self.positions)

    @property
    def tail_calls(self) -> FloatArray:
        """P(tau >= l), l = 1..L, averaged over calls; NaN where none is left.

        Raises:
            InvalidSettingError: the rule has no calls.
        """
        calls, _, accepted = self._counted()
        return _ratio(accepted, calls)

    @property
    def tokens_per_call(self) -> float:
        """Tokens / calls, 1 + the sum of `tail_calls`; NaN where no call is left.

        Raises:
            InvalidSettingError: the rule has no calls.
        """
        calls, tokens, _ = self._counted()
        return tokens / calls if calls > 0.0 else float("nan")

    def _counted(self) -> tuple[float, float, FloatArray]:
        if self.calls is None or self.tokens is None or self.accepted_at_calls is None:
            raise InvalidSettingError(
                f"`scheme` {self.scheme!r} has tails and no calls: take tail_positions"
            )
        return self.calls, self.tokens, self.accepted_at_calls

    def __add__(self, other: PathTally) -> PathTally:
        if (self.scheme, self.draft_length) != (other.scheme, other.draft_length):
            raise InvalidSettingError(
                f"a tally of `scheme` {self.scheme!r} with `draft_length` {self.draft_length} and "
                f"one of {other.scheme!r} with {other.draft_length} do not add up: pool each alone"
            )
        positions = self.positions + other.positions
        accepted = self.accepted_at_positions + other.accepted_at_positions
        starts = self.starts + other.starts
        if self.calls is None:
            none = None, None, None
            return PathTally(self.scheme, self.draft_length, positions, accepted, starts, *none)
        left, right = self._counted(), other._counted()
        return PathTally(
            self.scheme,
            self.draft_length,
            positions,
            accepted,
            starts,
            left[0] + right[0],
            left[1] + right[1],
            left[2] + right[2],
        )


def tally_text(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    draft_length: int,
    scheme: str,
    *,
    finish_reason: str = "stop",
    document: str | None = None,
) -> PathTally:
    """Both tails and the calls of one text.

    A text that was cut by its length limit holds the ends of its last calls only in part: the
    calls that start less than L + 1 tokens before the end are left out, with what they emit. A text
    that ended by its end token counts whole.

    Args:
        target_logprob: log p of the text's tokens, shape (N,), the end token included where the
            text has one.
        draft_logprob: log q of the same tokens.
        draft_length: L.
        scheme: one of `paths.names()`; `"joint"` gets tails over positions and no calls.
        finish_reason: `"stop"` (the end token) or `"length"` (a limit), as servers say it.
        document: the text's name, for messages.

    Raises:
        InvalidDistributionError: as `accepted_tail`, or fewer than two tokens; names document and
            position.
        InvalidSettingError: an unknown scheme or finish reason, or a draft length below 1.

    Example:
        >>> p = np.log([1 / 3, 2 / 3, 1 / 3, 2 / 3, 2 / 3])
        >>> tally = tally_text(p, p[::-1], 2, "block")
        >>> bool(np.isclose(1 + tally.tail_calls.sum(), 5 / tally.calls))
        True
    """
    rule = path_rule(scheme)
    tail = text_tail(target_logprob, draft_logprob, draft_length, scheme, document)
    return tally_windows(tail, rule.name, finish_reason=finish_reason, stateless=rule.stateless)


def tally_texts(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    draft_lengths: Sequence[int],
    schemes: Sequence[str],
    *,
    finish_reason: str = "stop",
    document: str | None = None,
) -> list[PathTally]:
    """`tally_text` for every draft length and scheme; tails of the longest serve the others.

    Args:
        target_logprob: as `tally_text`.
        draft_logprob: as `tally_text`.
        draft_lengths: each L.
        schemes: each rule.
        finish_reason: as `tally_text`.
        document: as `tally_text`.

    Returns:
        Schemes one after the other, each with its draft lengths in the order given.

    Raises:
        InvalidDistributionError: as `tally_text`.
        InvalidSettingError: as `tally_text`, or nothing to compute.

    Example:
        >>> p = np.log([0.5, 0.5, 0.5])
        >>> tallies = tally_texts(p, p, [1, 2], ["block", "joint"])
        >>> [(one.scheme, one.draft_length, one.calls) for one in tallies]
        [('block', 1, 2.0), ('block', 2, 1.0), ('joint', 1, None), ('joint', 2, None)]
    """
    lengths = [check_draft_length(one) for one in draft_lengths]
    if not lengths:
        raise InvalidSettingError("`draft_lengths` is empty: give one or more")
    tallies = []
    for scheme in schemes:
        rule = path_rule(scheme)
        tail = text_tail(target_logprob, draft_logprob, max(lengths), scheme, document)
        for length in lengths:
            tallies.append(
                tally_windows(
                    tail[:, :length],
                    rule.name,
                    finish_reason=finish_reason,
                    stateless=rule.stateless,
                )
            )
    return tallies


def tally_windows(
    tail: FloatArray, name: str, *, finish_reason: str = "stop", stateless: bool = True
) -> PathTally:
    """Both tails and the calls of one text from any verifier's P(tau >= l | text).

    Args:
        tail: shape (N, L), of a call that starts at each token, as `text_tail`, `gbv_text_tail`
            and `node_text_tail` have it.
        name: what to call the verifier.
        finish_reason: as `tally_text`.
        stateless: whether the verifier has calls.

    Raises:
        InvalidSettingError: an unknown finish reason.

    Example:
        >>> tally_windows(np.ones((3, 2)), "perfect").tokens_per_call
        3.0
    """
    refuse_unknown([finish_reason], FINISH_REASONS, "`finish_reason`")
    tokens, length = tail.shape
    cut = FINISH_REASONS[finish_reason]
    counted = max(tokens - length, 0) if cut else tokens
    full = tail[: max(tokens - length + 1, 0)]
    at_positions = full.sum(axis=0)
    if not stateless:
        none = None, None, None
        return PathTally(name, length, len(full), at_positions, counted, *none)
    starts = call_starts(tail)[:counted]
    accepted = _within(tail)[:counted].T @ starts
    calls = float(starts.sum())
    # A whole text is emitted once: its tokens are known without rounding.
    emitted = calls + float(accepted.sum()) if cut else float(tokens)
    return PathTally(name, length, len(full), at_positions, counted, calls, emitted, accepted)


def length_inside_support(target_logprob: npt.ArrayLike) -> int:
    """Tokens before the first that the target cannot give: where to cut such a text.

    Rows that are computed again in another order can flip the last token of a top-k or top-p cut.
    A text that is cut there ended by a limit, and its cut is counted:
    `refuse_many_outside_support`.

    Example:
        >>> length_inside_support([-0.5, -1.0, -np.inf, -0.2])
        2
    """
    outside = np.isneginf(np.asarray(target_logprob, dtype=np.float64))
    return int(outside.argmax()) if outside.any() else len(outside)


def refuse_many_outside_support(cuts: int, positions: int) -> None:
    """Refuse texts of which too many tokens lie outside the target's support.

    Args:
        cuts: texts that were cut at such a token.
        positions: tokens of all texts.

    Raises:
        InvalidDistributionError: more than 0.1 % of the positions: the text is not the target's.

    Example:
        >>> refuse_many_outside_support(1, 100)
        Traceback (most recent call last):
        mdbound.errors.InvalidDistributionError: 1 of 100 positions hold a token that the target
        cannot give, more than 0.1%: check temperature, top_k and top_p of the run that wrote the
        text
    """
    if cuts > LARGEST_SHARE_OUTSIDE * positions:
        raise InvalidDistributionError(
            f"{cuts} of {positions} positions hold a token that the target cannot give, more than "
            f"{LARGEST_SHARE_OUTSIDE:.1%}: check temperature, top_k and top_p of the run that "
            "wrote the text"
        )


def _within(tail: FloatArray) -> FloatArray:
    """The tail with 0 where accepting l tokens would leave none of the text for the call."""
    tokens, length = tail.shape
    left = tokens - np.arange(tokens)[:, None]
    return np.where(np.arange(1, length + 1) < left, tail, 0.0)


def _ratio(sums: FloatArray, count: float) -> FloatArray:
    return sums / count if count > 0 else np.full_like(sums, np.nan)
