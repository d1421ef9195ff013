"""Selection rule of the greedy law, in closed form at any vocabulary.

A drafted set is the n - 1 certain drafts with one draw x. A draw behind the first block is
selected. One of the first block competes with the certain drafts: it is selected with probability
p_I(x) / h(x), h the law of the draw, which gives it p_I(x) in all; otherwise a certain draft is,
in proportion to p_I.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.canonical.selection.position import DecomposedPosition
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import InvalidSettingError


class CertainDrafts:
    """Needs no iteration: each share is a ratio."""

    def __init__(self, position: DecomposedPosition) -> None:
        self._position = position
        num_drafts = min(position.num_drafts, len(position.blocks.order))
        self._top = position.blocks.order[: num_drafts - 1]
        drawn = position.drafts[0].copy()
        drawn[self._top] = 0.0
        total = drawn.sum()
        # Exactly n tokens, or fewer: the last is drawn with certainty.
        self._drawn = drawn / total if total > 0.0 else drawn

    def log_shares(self, tokens: IntArray) -> FloatArray:
        """See `SelectionRule`."""
        ranks = self._position.ranks(tokens)
        is_top = ranks < len(self._top)
        if (is_top.sum(axis=1) != len(self._top)).any() or tokens.shape[1] > len(self._top) + 1:
            raise InvalidSettingError(
                f"greedy drafts hold the {len(self._top)} likeliest tokens "
                f"{self._top.tolist()} and one other: {tokens[0].tolist()} do not"
            )
        selected = self._position.selected[tokens]
        drawn = self._drawn[tokens]
        share = np.divide(selected, drawn, out=np.ones_like(drawn), where=drawn > 0.0)
        behind = ranks >= self._position.blocks.starts[1]
        of_draw = np.where(behind, 1.0, np.minimum(share, 1.0)) * ~is_top
        certain = selected * is_top
        totals = certain.sum(axis=1, keepdims=True)
        left = 1.0 - of_draw.sum(axis=1, keepdims=True)
        of_top = np.divide(certain, totals, out=np.zeros_like(certain), where=totals > 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.where(is_top, left * of_top, of_draw)))
