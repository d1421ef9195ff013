"""Canonical decomposition at full vocabulary: select one draft, then speculate on it alone.

Khisti et al. (2025), Theorem 1: the optimum is reached by selecting one drafted token Y and
running single-draft speculative sampling on Y against its law p_I; alpha* is the sum over y of
min(p(y), p_I(y)). (Their target is q, their drafts p_k, their number of drafts K.) A law p_I can
be the law of a drafted token iff p_I(H) >= F(H) for every set H.

On each block of `canonical.blocks`, of slope s, p_I(y) = s p(y). This p_I is the one closest to p:
it minimises sum of p phi(p_I / p) for every convex phi at once, because F is supermodular and the
sets that maximise F - s p are prefixes. Its blocks of slope above 1 make up the optimal set H*.

The selected token lies in the last block that holds a drafted token. Inside the block,
`canonical.weights` gives the rule for i.i.d. drafts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.canonical.blocks import BLOCKS, Blocks
from mdbound.bounds.canonical.prefix_increments import with_replacement_increments
from mdbound.bounds.canonical.selection_blocks import selection_blocks
from mdbound.bounds.canonical.weights import BlockWeights, solve_block
from mdbound.bounds.laws.position import check_position
from mdbound.bounds.laws.registry import entry_of_law
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import InvalidSettingError


@dataclass(frozen=True)
class CanonicalDecomposition:
    """The optimal two-step scheme of one position.

    Attributes:
        target: p, shape (V,).
        draft: q, shape (V,).
        num_drafts: n.
        sampling: the draft law.
        selected: p_I, the law of the selected token, shape (V,).
        acceptance: alpha*, the sum of min(p, p_I), as 1 less the sum of (p_I - p)+.
        blocks: the pieces on which p_I is proportional to p.
    """

    target: FloatArray
    draft: FloatArray
    num_drafts: int
    sampling: str
    selected: FloatArray
    acceptance: float
    blocks: Blocks
    _solved: dict[int, BlockWeights] = field(default_factory=dict, repr=False, compare=False)
    _rank: list[IntArray] = field(default_factory=list, repr=False, compare=False)

    def accept_probability(self, token: int) -> float:
        """Probability that speculative sampling keeps the selected token: min(1, p / p_I)."""
        if self.selected[token] <= self.target[token]:
            return 1.0
        return float(self.target[token] / self.selected[token])

    def residual(self) -> FloatArray:
        """Law of the output after a rejection, (p - p_I)+ normalised; p where nothing is lost."""
        lost = np.maximum(self.target - self.selected, 0.0)
        total = lost.sum()
        return np.asarray(lost / total) if total > 0.0 else self.target

    def selection_probabilities(self, drafted: Sequence[int]) -> dict[int, float]:
        """Law of the selected token given the drafted tokens: beta of Khisti et al.

        Defined for i.i.d. drafts. Only the block that the drafts need is solved, once.

        Args:
            drafted: the n drafted tokens, in any order, repeats included.

        Returns:
            A probability for each distinct drafted token; they sum to 1.

        Raises:
            InvalidSettingError: another draft law, another number of tokens, or a token that is
                never drafted.
            UnsolvedError: the block's weights did not converge.

        Example:
            >>> rule = canonical_decomposition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
            >>> rule.selection_probabilities([0, 1])
            {0: 1.0, 1: 0.0}
        """
        if len(drafted) != self.num_drafts:
            raise InvalidSettingError(
                f"{len(drafted)} drafted tokens given: this decomposition is for {self.num_drafts}"
            )
        tokens = np.asarray(drafted, dtype=np.int64)
        log_weights = self._log_weights(tokens[None, :])[0]
        weights = np.exp(log_weights - log_weights.max())
        law = dict.fromkeys(tokens.tolist(), 0.0)
        for token, share in zip(tokens.tolist(), weights / weights.sum(), strict=True):
            law[token] += float(share)
        return law

    def select(self, drafted: npt.ArrayLike, rng: np.random.Generator) -> IntArray:
        """Select one token for each of many tuples of i.i.d. drafts.

        Args:
            drafted: shape (size, n).
            rng: source of randomness.

        Returns:
            The selected tokens, shape (size,).

        Raises:
            InvalidSettingError: as `selection_probabilities`.
            UnsolvedError: a block's weights did not converge.

        Example:
            >>> rule = canonical_decomposition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
            >>> rule.select([[0, 1], [2, 2]], np.random.default_rng(0)).tolist()
            [0, 2]
        """
        tokens = np.asarray(drafted, dtype=np.int64)
        if tokens.ndim != 2 or tokens.shape[1] != self.num_drafts:
            raise InvalidSettingError(
                f"drafted tokens have shape {tokens.shape}: give (size, {self.num_drafts})"
            )
        # The largest of ln a + Gumbel noise falls on a draw with probability a / sum of a.
        keys = self._log_weights(tokens) + rng.gumbel(size=tokens.shape)
        return np.asarray(tokens[np.arange(len(tokens)), keys.argmax(axis=1)])

    def _log_weights(self, tokens: IntArray) -> FloatArray:
        """Logarithm of each draw's weight, -inf outside its tuple's last block, shape (size, n)."""
        if self.sampling != "with_replacement":
            raise InvalidSettingError(
                f"selection probabilities are known for i.i.d. drafts, not for {self.sampling!r}: "
                "use importance_sampling_lp, for small vocabularies"
            )
        ranks, cut = self._ranks(tokens), self._cut
        blocks = np.searchsorted(cut.starts, ranks, side="right") - 1
        last = blocks.max(axis=1)
        log_weights = np.where(blocks == last[:, None], 0.0, -np.inf)
        competing = (blocks == last[:, None]) & (ranks != ranks.max(axis=1)[:, None])
        for block in np.unique(last[competing.any(axis=1)]):
            members = (blocks == block) & (last == block)[:, None]
            places, index = np.unique(ranks[members], return_inverse=True)
            slope, order = cut.slopes[block], cut.order[places]
            ratio = slope * (self.target[order] / self.draft[order])
            log_weights[members] = self._block_weights(int(block)).log_weight(ratio)[index]
        return log_weights

    @cached_property
    def _cut(self) -> Blocks:
        """The blocks that weights are solved of."""
        increments = with_replacement_increments(self.draft[self.blocks.order], self.num_drafts)
        return selection_blocks(self.blocks, self.target, self.selected, increments)

    def _ranks(self, tokens: IntArray) -> IntArray:
        if not self._rank:
            rank = np.full(len(self.target), -1, dtype=np.int64)
            rank[self.blocks.order] = np.arange(len(self.blocks.order))
            self._rank.append(rank)
        outside = (tokens < 0) | (tokens >= len(self.target))
        ranks = self._rank[0][np.where(outside, 0, tokens)]
        never = outside | (ranks < 0)
        if never.any():
            raise InvalidSettingError(
                f"drafted token {int(tokens[never][0])} cannot be drafted: "
                "it is outside the vocabulary or has draft probability 0"
            )
        return np.asarray(ranks)

    def _block_weights(self, block: int) -> BlockWeights:
        if block not in self._solved:
            start, end = self._cut.starts[block], self._cut.starts[block + 1]
            members = self._cut.order[start:end]
            draft = self.draft[members]
            ratio = self._cut.slopes[block] * (self.target[members] / draft)
            before = float(self.draft[self._cut.order[:start]].sum())
            self._solved[block] = solve_block(draft, ratio, before, self.num_drafts)
        return self._solved[block]


def canonical_decomposition(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str = "with_replacement"
) -> CanonicalDecomposition:
    """The law p_I of the selected token, its blocks, and alpha*, at any vocabulary size.

    Exact up to rounding for `"with_replacement"`, `"without_replacement"` and `"greedy"`; one sort
    of the vocabulary, and for draws without replacement with n >= 3 one sweep over it per node of
    an integral. Drafts from different distributions have no such closed form: the sets that
    maximise F - s p change with s in more ways than along one order.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).
        num_drafts: n, at least 1.
        sampling: the draft law.

    Raises:
        InvalidDistributionError: an array holds no distribution, or the sizes differ.
        InvalidSettingError: n below 1, an unknown law, or one without an entry in `BLOCKS`.

    Example:
        >>> decomposition = canonical_decomposition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
        >>> round(decomposition.acceptance, 12), decomposition.selected.round(3).tolist()
        (0.86, [0.36, 0.384, 0.256])
    """
    blocks_of = entry_of_law(
        BLOCKS,
        sampling,
        "closed canonical decompositions",
        "use importance_sampling_lp for small vocabularies, or truncated_selection for a "
        "near-optimal rule",
    )
    p, drafts = check_position(target, draft, num_drafts, sampling, "canonical_decomposition")
    blocks, selected = blocks_of(p, drafts[0], num_drafts)
    acceptance = 1.0 - float(np.maximum(selected - p, 0.0).sum())
    return CanonicalDecomposition(p, drafts[0], num_drafts, sampling, selected, acceptance, blocks)
