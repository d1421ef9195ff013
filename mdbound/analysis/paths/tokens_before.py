"""The tokens before each row of a capture, carried from batch to batch: what a last level needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mdbound.analysis.paths.texts import Floats

#: What each setting has two columns of, before its number.
SIDES = ("target", "draft")


class TokensBefore:
    """Log-probabilities of the last tokens of each document.

    Memory holds so many tokens a document, however long it is.

    Args:
        count: Tokens before a row that matter, L - 1.
        settings: Settings, each with two numbers a token.

    Example:
        >>> places = {"doc_id": [0, 0, 1], "position": [4, 5, 9]}
        >>> frame = pl.DataFrame({**places, "target_0": [-1.0, -2.0, -3.0], "draft_0": [0.0] * 3})
        >>> TokensBefore(2, 1).advance(frame)[0, 0].tolist()
        [[nan, nan], [nan, -1.0], [nan, nan]]
    """

    def __init__(self, count: int, settings: int) -> None:
        self._names = [f"{side}_{index}" for index in range(settings) for side in SIDES]
        self._none = np.full((len(self._names), count), np.nan)
        self._kept: dict[int, tuple[int, Floats]] = {}

    def advance(self, logprobs: pl.DataFrame) -> Floats:
        """What stands before each row, and note the rows themselves.

        Args:
            logprobs: `doc_id`, `position`, and for setting i `target_i` and `draft_i`; rows in the
                order of the capture.

        Returns:
            Shape (settings, 2, B, count): of target and draft, the nearest last; NaN where the
            position before is not the row before of its document. A token that the target cannot
            give has 0 twice: texts are cut there, or count nothing from there on.
        """
        values = np.stack([logprobs[name].to_numpy() for name in self._names], axis=1)
        for first in range(0, values.shape[1], 2):
            values[np.isneginf(values[:, first]), first : first + 2] = 0.0
        found = np.empty((len(values), *self._none.shape))
        places = zip(logprobs["doc_id"], logprobs["position"], strict=True)
        for row, (document, position) in enumerate(places):
            last, kept = self._kept.get(document, (position - 1, self._none))
            found[row] = kept if last == position - 1 else self._none
            joined = np.concatenate([found[row], values[row][:, None]], axis=1)
            self._kept[document] = position, joined[:, 1:]
        by_setting = found.reshape(len(values), len(self._none) // 2, 2, self._none.shape[1])
        return np.moveaxis(by_setting, 0, 2)

    def skip(self, logprobs: pl.DataFrame) -> None:
        """Note the rows of a part that an earlier run has done."""
        count = max(self._none.shape[1], 1)
        self.advance(logprobs.group_by("doc_id", maintain_order=True).tail(count))


def level_columns(index: int, schemes: Sequence[str]) -> dict[str, str]:
    """Column of setting `index` that holds the levels of each rule.

    Example:
        >>> level_columns(0, ["block"])
        {'block': 'last_0_block'}
    """
    return {scheme: f"last_{index}_{scheme}" for scheme in schemes}
