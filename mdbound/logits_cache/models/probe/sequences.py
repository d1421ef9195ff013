"""The sequences that a probe runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

#: Longest sequence that is run, in tokens: what lies beyond, the configuration decides.
LONGEST = 512

#: Tokens of the sequence. A fault shows in a few; more would cost captures of a few hundred
#: positions a noticeable part of their time.
_TOKENS = 8

#: The sequence is longer than windows up to this many tokens, so that padding shifts them.
_WINDOW = 128

#: Tokens that the longer sequence has more.
_MORE = 4


def probe_sequences(
    vocabulary: Sequence[int], switch: int | None, windows: Collection[int]
) -> tuple[list[int], list[int]]:
    """A sequence, and a longer one that begins with it.

    Args:
        vocabulary: tokens to draw from.
        switch: length beyond which the model computes differently: the sequence stays within it,
            and the longer one goes beyond it if it can be reached.
        windows: lengths of windows within which the model attends.

    Example:
        >>> short, long = probe_sequences(range(50), switch=6, windows=[])
        >>> len(short), len(long), long[:6] == short
        (6, 10, True)
    """
    length = max([_TOKENS, *(window + _MORE for window in windows if window <= _WINDOW)])
    longer = length + _MORE
    if switch is not None:
        length = min(length, switch)
        longer = switch + _MORE if switch + _MORE <= LONGEST else length + _MORE
    drawn = np.random.default_rng(0).integers(0, len(vocabulary), longer)
    tokens = [int(vocabulary[index]) for index in drawn]
    return tokens[:length], tokens
