"""Selection rule without replacement: every drafted set is listed, and weights are found on them.

The integral that spares the list under i.i.d. drafts has no short form here, so this is for small
vocabularies or cut ones: `LARGEST_LIST` says how large.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.canonical.prefix_increments import without_replacement_increments
from mdbound.bounds.canonical.selection.position import DecomposedPosition
from mdbound.bounds.canonical.selection.selection_blocks import selection_blocks
from mdbound.bounds.canonical.selection.set_weights import CompetingSets, set_weights
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray
from mdbound.bounds.programs.draft_sets import count_pairs, draft_sets
from mdbound.errors import InvalidSettingError

LARGEST_LIST = 2_000_000
"""(set, token) pairs at most: top-k 20 at every n. A block's Newton steps finish on them in about
a minute, and what lists of many drafts hold in 2 GB."""

LARGEST_SHORT_LIST = 10_000_000
"""The same for two and three drafts, whose sets are cheap: 3,162 tokens at n = 2, 272 at n = 3."""


def largest_list(num_drafts: int) -> int:
    """(set, token) pairs at most, for so many drafts.

    Example:
        >>> largest_list(2), largest_list(8)
        (10000000, 2000000)
    """
    return LARGEST_SHORT_LIST if num_drafts <= 3 else LARGEST_LIST


_SAMPLING = "without_replacement"


class ListedSets:
    """Weights of each block, found when a draw needs them."""

    def __init__(self, position: DecomposedPosition) -> None:
        entries = count_pairs(position.drafts, position.num_drafts, _SAMPLING)
        most = largest_list(position.num_drafts)
        if entries > most:
            tokens = len(position.blocks.order)
            raise InvalidSettingError(
                f"without replacement, {position.num_drafts} drafts from {tokens} tokens make "
                f"{entries:,} pairs of a drafted set and a token, and the selection rule lists "
                f"{most:,} at most: cut the vocabulary (top_k), or take the rate alone, "
                "which needs no rule"
            )
        self._position = position
        order = position.blocks.order
        increments = without_replacement_increments(position.drafts[0][order], position.num_drafts)
        self._cut = selection_blocks(
            position.blocks, position.target, position.selected, increments
        )
        ((members, mass),) = draft_sets(position.drafts, position.num_drafts, _SAMPLING).groups()
        self._ranks = np.sort(position.ranks(members), axis=1)
        self._mass = mass
        self._weights: dict[int, FloatArray] = {}

    def log_shares(self, tokens: IntArray) -> FloatArray:
        """See `SelectionRule`: the weight of each draw in its tuple's last block."""
        ranks = np.atleast_2d(self._position.ranks(tokens))
        if (np.diff(np.sort(ranks, axis=1), axis=1) == 0).any():
            raise InvalidSettingError(
                "a token stands twice among drafts without replacement: give distinct tokens"
            )
        blocks = self._block_of(ranks)
        last = blocks.max(axis=1)
        log_weights = np.where(blocks == last[:, None], 0.0, -np.inf)
        competing = (blocks == last[:, None]).sum(axis=1) > 1
        for block in np.unique(last[competing]):
            members = (blocks == block) & (last == block)[:, None]
            places = ranks[members] - self._cut.starts[block]
            log_weights[members] = self._block_weights(int(block))[places]
        return log_weights

    def _block_of(self, ranks: IntArray) -> IntArray:
        return np.asarray(np.searchsorted(self._cut.starts, ranks, side="right") - 1)

    def _block_weights(self, block: int) -> FloatArray:
        if block not in self._weights:
            start, end = self._cut.starts[block], self._cut.starts[block + 1]
            of_block = self._block_of(self._ranks[:, -1]) == block
            ranks, mass = self._ranks[of_block] - start, self._mass[of_block]
            inside: BoolArray = ranks >= 0
            sizes = inside.sum(axis=1)
            tokens = self._cut.order[start:end]
            wanted = self._cut.slopes[block] * self._position.target[tokens]
            alone = sizes == 1
            certain = np.bincount(ranks[alone, -1], weights=mass[alone], minlength=end - start)
            of_several = ~alone
            first = np.cumsum(sizes[of_several]) - sizes[of_several]
            sets = CompetingSets(ranks[of_several][inside[of_several]], first, mass[of_several])
            self._weights[block] = set_weights(sets, wanted - certain)
        return self._weights[block]
