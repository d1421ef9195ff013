"""Selection rule for i.i.d. drafts, at any vocabulary: weights of blocks (`canonical.weights`)."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.canonical.prefix_increments import with_replacement_increments
from mdbound.bounds.canonical.selection.position import DecomposedPosition
from mdbound.bounds.canonical.selection.selection_blocks import selection_blocks
from mdbound.bounds.canonical.weights import BlockWeights, solve_block
from mdbound.bounds.problem.array_types import FloatArray, IntArray


class IidDraws:
    """Only the block that the drafts need is solved, once."""

    def __init__(self, position: DecomposedPosition) -> None:
        self._position = position
        self._draft = position.drafts[0]
        increments = with_replacement_increments(
            self._draft[position.blocks.order], position.num_drafts
        )
        self._cut = selection_blocks(
            position.blocks, position.target, position.selected, increments
        )
        self._solved: dict[int, BlockWeights] = {}

    def log_shares(self, tokens: IntArray) -> FloatArray:
        """See `SelectionRule`: the weight of each draw in its tuple's last block."""
        ranks, cut = self._position.ranks(tokens), self._cut
        blocks = np.searchsorted(cut.starts, ranks, side="right") - 1
        last = blocks.max(axis=1)
        log_weights = np.where(blocks == last[:, None], 0.0, -np.inf)
        competing = (blocks == last[:, None]) & (ranks != ranks.max(axis=1)[:, None])
        for block in np.unique(last[competing.any(axis=1)]):
            members = (blocks == block) & (last == block)[:, None]
            places, index = np.unique(ranks[members], return_inverse=True)
            slope, order = cut.slopes[block], cut.order[places]
            ratio = slope * (self._position.target[order] / self._draft[order])
            log_weights[members] = self._block_weights(int(block)).log_weight(ratio)[index]
        return log_weights

    def _block_weights(self, block: int) -> BlockWeights:
        if block not in self._solved:
            start, end = self._cut.starts[block], self._cut.starts[block + 1]
            members = self._cut.order[start:end]
            draft = self._draft[members]
            ratio = self._cut.slopes[block] * (self._position.target[members] / draft)
            before = float(self._draft[self._cut.order[:start]].sum())
            self._solved[block] = solve_block(draft, ratio, before, self._position.num_drafts)
        return self._solved[block]
