"""Tails at other settings of the target, from the text of one capture.

Text was sampled under one law s (the target at the captured settings); tails are wanted for the
target p and draft q at other settings. A window w counts p(w) / s(w) times: unbiased wherever s can
write what p and q can both give. The contexts keep the law of the capture. Calls of a text cannot
be had so, since their weight would be over the whole text. A draft at other settings alone needs no
weights: the text is the target's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds import Warpers
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.paths.checks import check_draft_length, check_logprobs
from mdbound.paths.last_level import last_level_tail, last_level_windows
from mdbound.paths.tails import accepted_tail, windows

SMALLEST_EFFECTIVE_SIZE = 100.0
"""Windows that weights must leave in effect: with fewer, a few windows make up the mean."""
SMALLEST_EFFECTIVE_SHARE = 0.05
"""The same as a share of all windows. Below it most of a capture is wasted, and the weights' own
tail is seldom seen, which makes the effective size too large."""


KEEPS_ALL = {"top_p": 1.0, "min_p": 0.0}
"""Values at which these settings cut nothing."""


def check_reweighting(captured: Warpers, wanted: Warpers) -> None:
    """Refuse target settings that can give tokens which the captured text cannot hold.

    Args:
        captured: settings under which the target wrote the text.
        wanted: settings of the target that tails are wanted for.

    Raises:
        InvalidSettingError: greedy text for sampled text, or a cut by top-k or top-p that is not
            known to keep all tokens of the wanted one; names the field.

    Example:
        >>> check_reweighting(Warpers(1.0), Warpers(0.7, top_k=50))
        >>> check_reweighting(Warpers(0.0), Warpers(0.7))
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: the text was written at `temperature` 0.0 and is one
        path of many: it says nothing about 0.7; capture again
    """
    if wanted.temperature == 0.0:
        return  # the likeliest token survives every cut
    if captured.temperature == 0.0:
        raise InvalidSettingError(
            f"the text was written at `temperature` 0.0 and is one path of many: it says nothing "
            f"about {wanted.temperature}; capture again"
        )
    if captured.top_k is not None and (wanted.top_k is None or wanted.top_k > captured.top_k):
        raise InvalidSettingError(
            f"the text was cut at `top_k` {captured.top_k} and {wanted.top_k} is wanted: it lacks "
            "tokens of the wanted law; take as many or fewer, or capture again"
        )
    cuts = {"top_p": (captured.top_p, wanted.top_p), "min_p": (captured.min_p, wanted.min_p)}
    for field, (held, asked) in cuts.items():
        if held in (None, KEEPS_ALL[field]):
            continue
        # A smaller top-p and a larger min-p keep less, and so does a lower temperature.
        wider = asked is None or (asked > held if field == "top_p" else asked < held)
        if wider or wanted.temperature > captured.temperature:
            raise InvalidSettingError(
                f"the text was cut at `{field}` {held} and temperature {captured.temperature}, and "
                f"{asked} at {wanted.temperature} is wanted: it may lack tokens of the wanted law; "
                "keep as much or less, at the same temperature or below, or capture again"
            )


@dataclass(frozen=True)
class ReweightedTally:
    """Sums over the windows of one text, or of several by `+`.

    Attributes:
        scheme: the rule.
        draft_length: L.
        windows: of L tokens.
        accepted: sum over them of weight times P(tau >= l), shape (L,).
        weights: sum of the weights, shape (L,).
        squares: sum of their squares, shape (L,).
    """

    scheme: str
    draft_length: int
    windows: int
    accepted: FloatArray
    weights: FloatArray
    squares: FloatArray

    @property
    def effective_size(self) -> FloatArray:
        """(sum of weights)^2 / sum of squares, l = 1..L: windows that the weights leave."""
        return np.divide(
            self.weights**2, self.squares, out=np.zeros_like(self.weights), where=self.squares > 0.0
        )

    @property
    def smallest_size(self) -> float:
        """The effective size below which `tail_positions` is refused."""
        return max(SMALLEST_EFFECTIVE_SIZE, SMALLEST_EFFECTIVE_SHARE * self.windows)

    @property
    def tail_positions(self) -> FloatArray:
        """P(tau >= l), l = 1..L, averaged over windows; unbiased, so that it may exceed 1 a little.

        Raises:
            InvalidDistributionError: the weights leave too few windows in effect.
        """
        size = self.effective_size
        short = np.flatnonzero(size < self.smallest_size)
        if len(short):
            raise InvalidDistributionError(
                f"weights leave {size[short[0]]:.1f} of {self.windows} windows in effect at length "
                f"{short[0] + 1}, below {self.smallest_size:.0f}: take settings nearer to those of "
                "the text, shorter drafts or more text, or capture again"
            )
        return self.accepted / self.windows

    def __add__(self, other: ReweightedTally) -> ReweightedTally:
        if (self.scheme, self.draft_length) != (other.scheme, other.draft_length):
            raise InvalidSettingError(
                f"a tally of `scheme` {self.scheme!r} with `draft_length` {self.draft_length} and "
                f"one of {other.scheme!r} with {other.draft_length} do not add up: pool each alone"
            )
        return ReweightedTally(
            self.scheme,
            self.draft_length,
            self.windows + other.windows,
            self.accepted + other.accepted,
            self.weights + other.weights,
            self.squares + other.squares,
        )


def tally_reweighted(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    sampling_logprob: npt.ArrayLike,
    draft_length: int,
    scheme: str,
    rows: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    last_levels: npt.ArrayLike | None = None,
) -> ReweightedTally:
    """Weighted tails of one text that was written under another law than the target's.

    Ask `check_reweighting` first: a text does not show whether s can write all that is wanted.

    Args:
        target_logprob: log p of the text's tokens at the wanted settings, shape (N,); -inf where
            they rule a token out.
        draft_logprob: log q at the wanted settings, shape (N,).
        sampling_logprob: log s, the law that the text was sampled from, shape (N,).
        draft_length: L.
        scheme: one of `paths.names()`.
        rows: batches of rows (p, q) of the text at the wanted settings, as `last_level_tail` takes
            them. With them the last token is summed, not sampled, and has no weight: level 1 is
            exact at the contexts of the text.
        last_levels: instead of the rows, what `last_level_of_rows` made of them, (N, at least L);
            tokens that p rules out stood before it with log p = log q = 0.

    Raises:
        InvalidDistributionError: no log-probabilities, shapes that differ, a text shorter than L,
            or a token that s cannot give; names the position.
        InvalidSettingError: an unknown scheme, or a draft length below 1.

    Example:
        >>> tally = tally_reweighted(np.log([0.5, 0.5]), np.log([0.5, 0.5]), np.log([0.25, 1.0]), 1,
        ...     "block")
        >>> tally.accepted.tolist(), tally.effective_size.tolist()
        ([2.5], [1.4705882352941178])
    """
    length = check_draft_length(draft_length)
    sampling, draft = check_logprobs(sampling_logprob, draft_logprob)
    # The wanted target may rule tokens out, as a draft may.
    _, target = check_logprobs(sampling_logprob, target_logprob)
    if sampling.ndim != 1 or len(sampling) < length:
        raise InvalidDistributionError(
            f"`sampling_logprob` has shape {sampling.shape}: give one text of at least "
            f"`draft_length` {length} tokens"
        )
    full = len(sampling) - length + 1
    weights = np.exp(np.cumsum(windows(target - sampling, length, 0.0)[:full], axis=1))
    # After a token that is ruled out every weight is 0, whatever stands in for it.
    ruled_out = np.isneginf(target)
    target, draft = np.where(ruled_out, 0.0, target), np.where(ruled_out, 0.0, draft)
    if rows is not None:
        tail = last_level_tail(rows, target, draft, length, scheme)
    elif last_levels is not None:
        tail = last_level_windows(last_levels, length)
    else:
        pair = [windows(one, length, 0.0)[:full] for one in (target, draft)]
        tail = accepted_tail(pair[0], pair[1], scheme)
    if rows is not None or last_levels is not None:  # the last token is summed, and has no weight
        weights = np.concatenate([np.ones((full, 1)), weights[:, :-1]], axis=1)
    return ReweightedTally(
        scheme,
        length,
        full,
        (weights * tail).sum(axis=0),
        weights.sum(axis=0),
        (weights**2).sum(axis=0),
    )
