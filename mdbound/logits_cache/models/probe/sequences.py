"""The sequences that a probe runs."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

#: Longest sequence that is run, in tokens: what lies beyond, the configuration decides.
LONGEST = 512

#: Tokens of the sequence. A fault shows in a few; more would cost captures of a few hundred
#: positions a noticeable part of their time.
_TOKENS = 8

#: The sequence is longer than windows up to this many tokens, so that padding shifts them.
_WINDOW = 128

#: Tokens that are drawn more than are needed, and as many again.
_SPARE = 16

#: Tokens that the longer sequence has more.
_MORE = 3


def probe_sequences(
    vocab_size: int, avoided: Collection[int], switch: int | None, windows: Collection[int]
) -> tuple[list[int], list[int]]:
    """A sequence, and a longer one that begins with it.

    Args:
        vocab_size: tokens to draw from.
        avoided: tokens that do not stand anywhere in a text.
        switch: length beyond which the model computes differently: the sequence stays within it,
            and the longer one goes beyond it if it can be reached.
        windows: lengths of windows within which the model attends.

    Example:
        >>> short, long = probe_sequences(50, {0}, switch=4, windows=[])
        >>> len(short), len(long), long[:4] == short, 0 in long
        (4, 7, True, False)
    """
    length = max([_TOKENS, *(window + _MORE for window in windows if window <= _WINDOW)])
    longer = length + _MORE
    if switch is not None:
        length = min(length, switch)
        longer = switch + _MORE if switch + _MORE <= LONGEST else length + _MORE
    # Of so many, enough are left, unless a vocabulary has next to nothing else.
    drawn = np.random.default_rng(0).integers(0, vocab_size, 2 * longer + _SPARE).tolist()
    tokens = [token for token in drawn if token not in avoided][:longer]
    tokens += drawn[: longer - len(tokens)]
    return tokens[:length], tokens
