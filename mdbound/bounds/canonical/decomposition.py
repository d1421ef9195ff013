"""Canonical decomposition at full vocabulary: select one draft, then speculate on it alone.

Khisti et al. (2025), Theorem 1: the optimum is reached by selecting one drafted token Y and
running single-draft speculative sampling on Y against its law p_I; alpha* is the sum over y of
min(p(y), p_I(y)). (Their target is q, their drafts p_k, their number of drafts K.) A law p_I can
be the law of a drafted token iff p_I(H) >= F(H) for every set H.

On each block of `canonical.blocks`, of slope s, p_I(y) = s p(y). This p_I is the one closest to p:
it minimises sum of p phi(p_I / p) for every convex phi at once, because F is supermodular and the
sets that maximise F - s p are prefixes. Its blocks of slope above 1 make up the optimal set H*.

The selected token lies in the last block that holds a drafted token. Inside the block the rule
depends on the draft law: `canonical.selection.rules` has one for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.canonical.blocks import Blocks
from mdbound.bounds.canonical.selection.position import DecomposedPosition, SelectionRule
from mdbound.bounds.canonical.selection.rules import CANONICAL_LAWS, DISTINCT_LAWS
from mdbound.bounds.laws.position import check_position
from mdbound.bounds.laws.registry import entry_of_law
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import InvalidSettingError


@dataclass(frozen=True)
class CanonicalDecomposition:
    """The optimal two-step scheme of one position.

    Attributes:
        target: p, shape (V,).
        draft: q, shape (V,); drafts of different laws, shape (n, V).
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
    _position: DecomposedPosition = field(repr=False, compare=False)

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

        At any vocabulary for `"with_replacement"`, where only the block that the drafts need is
        solved, once, and for `"greedy"`, in closed form. Without replacement every drafted set is
        listed (3,162 tokens at n = 2, 272 at n = 3, top-k 20 at any n), and drafts of different
        laws take a linear program (top-k 50 at n = 2 and 3).

        Args:
            drafted: the n drafted tokens, in any order, repeats included; fewer where the draft
                has fewer than n tokens and draws without replacement.

        Returns:
            A probability for each distinct drafted token; they sum to 1.

        Raises:
            InvalidSettingError: another number of tokens, tokens that the draft law cannot draw
                together, or a vocabulary that is too large for the law's rule.
            UnsolvedError: the rule was not found to its promised error.

        Example:
            >>> rule = canonical_decomposition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
            >>> rule.selection_probabilities([0, 1])
            {0: 1.0, 1: 0.0}
        """
        if len(drafted) != self._tuple_length:
            raise InvalidSettingError(
                f"{len(drafted)} drafted tokens given: this decomposition is for "
                f"{self._tuple_length}"
            )
        tokens = np.asarray(drafted, dtype=np.int64)
        log_shares = self._rule.log_shares(tokens[None, :])[0]
        shares = np.exp(log_shares - log_shares.max())
        law = dict.fromkeys(tokens.tolist(), 0.0)
        for token, share in zip(tokens.tolist(), shares / shares.sum(), strict=True):
            law[token] += float(share)
        return law

    def select(self, drafted: npt.ArrayLike, rng: np.random.Generator) -> IntArray:
        """Select one token for each of many tuples of drafts.

        Args:
            drafted: shape (size, n).
            rng: source of randomness.

        Returns:
            The selected tokens, shape (size,).

        Raises:
            InvalidSettingError: as `selection_probabilities`.
            UnsolvedError: as `selection_probabilities`.

        Example:
            >>> rule = canonical_decomposition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
            >>> rule.select([[0, 1], [2, 2]], np.random.default_rng(0)).tolist()
            [0, 2]
        """
        tokens = np.asarray(drafted, dtype=np.int64)
        if tokens.ndim != 2 or tokens.shape[1] != self._tuple_length:
            raise InvalidSettingError(
                f"drafted tokens have shape {tokens.shape}: give (size, {self._tuple_length})"
            )
        # The largest of ln a + Gumbel noise falls on a draw with probability a / sum of a.
        keys = self._rule.log_shares(tokens) + rng.gumbel(size=tokens.shape)
        return np.asarray(tokens[np.arange(len(tokens)), keys.argmax(axis=1)])

    @property
    def _tuple_length(self) -> int:
        """Tokens of a drafted tuple: laws of distinct tokens stop when there are no more."""
        distinct = self.sampling in DISTINCT_LAWS
        return min(self.num_drafts, len(self.blocks.order)) if distinct else self.num_drafts

    @cached_property
    def _rule(self) -> SelectionRule:
        return CANONICAL_LAWS[self.sampling].rule(self._position)


def canonical_decomposition(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str = "with_replacement"
) -> CanonicalDecomposition:
    """The law p_I of the selected token, its blocks, and alpha*, at any vocabulary size.

    Exact up to rounding for `"with_replacement"`, `"without_replacement"` and `"greedy"`; one sort
    of the vocabulary, and for draws without replacement with n >= 3 one sweep over it per node of
    an integral. Drafts from different distributions (`"independent"`) have no such closed form: the
    sets that maximise F - s p change with s in more ways than along one order. A linear program
    serves cut vocabularies there (top-k 50 at n = 2 and 3), to 1e-11.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for `"independent"`.
        num_drafts: n, at least 1.
        sampling: the draft law.

    Raises:
        InvalidDistributionError: an array holds no distribution, or the sizes differ.
        InvalidSettingError: n below 1, an unknown law, one without an entry in `CANONICAL_LAWS`, or
            a vocabulary that is too large for the program.
        UnsolvedError: the program did not meet its bound.

    Example:
        >>> decomposition = canonical_decomposition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
        >>> round(decomposition.acceptance, 12), decomposition.selected.round(3).tolist()
        (0.86, [0.36, 0.384, 0.256])
    """
    law = entry_of_law(
        CANONICAL_LAWS,
        sampling,
        "canonical decompositions",
        "use importance_sampling_lp for small vocabularies, or truncated_selection for a "
        "near-optimal rule",
    )
    p, drafts = check_position(target, draft, num_drafts, sampling, "canonical_decomposition")
    found = law.decompose(p, drafts, num_drafts)
    acceptance = 1.0 - float(np.maximum(found.selected - p, 0.0).sum())
    of_one = drafts[0] if len(drafts) == 1 else drafts
    return CanonicalDecomposition(
        p, of_one, num_drafts, sampling, found.selected, acceptance, found.blocks, found
    )
