"""Probability that a residual draw, after the selected token was rejected, hits a drafted token.

Importance sampling selects a token z by a tournament and tests it against its law p_I. A rejection
(probability rej(z) = max(1 - p/p_I, 0)) draws y from res = max(p - p_I, 0), normalised. The draw
hits a draft with probability

    sum over y of res(y) * sum over z of rej(z) P(z selected, y drafted).
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds import TruncatedSelection
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.sampling.draws import draw_independent
from mdbound.schemes.sampling.streams import standard_errors


def keep_probabilities(
    rank: IntArray, keep: FloatArray, incumbent: IntArray, challenger: IntArray
) -> FloatArray:
    """P(incumbent wins) for arrays of token ids, one match for each entry.

    Args:
        rank: (V,) rank of each token.
        keep: (s, s) probability that the first of two contenders wins, by rank.
        incumbent: token ids, any shape.
        challenger: token ids, broadcast against `incumbent`.

    Example:
        >>> rank, keep = np.array([1, 0]), np.ones((1, 1))
        >>> keep_probabilities(rank, keep, np.array([0, 0]), np.array([1, 0])).tolist()
        [0.0, 1.0]
    """
    first, second = np.broadcast_arrays(rank[incumbent], rank[challenger])
    wins = (first <= second).astype(np.float64)
    weighted = np.maximum(first, second) < len(keep)
    wins[weighted] = keep[first[weighted], second[weighted]]
    return wins


class ResidualHits:
    """The probability above for one row, three ways: two drafts, exact chain, estimate.

    Args:
        p: target (V,).
        drafts: one law (V,) per draft, two or more.
        selection: a rule for these drafts, or for more of which these are the first.
    """

    def __init__(
        self, p: FloatArray, drafts: list[FloatArray], selection: TruncatedSelection
    ) -> None:
        self.matches = selection.matches[: len(drafts) - 1]
        winner = self.matches[-1].winner
        residual = np.maximum(p - winner, 0.0)
        total = residual.sum()
        self.residual = residual / total if total > 0.0 else residual
        surplus = np.maximum(winner - p, 0.0)
        self.rejected = np.divide(surplus, winner, out=np.zeros_like(winner), where=winner > 0.0)
        self.drafts = drafts

    @property
    def exact_steps(self) -> int:
        """Work of `exact`: tokens with residual mass, times V, times drafts."""
        return int(np.count_nonzero(self.residual)) * len(self.residual) * len(self.drafts)

    def of_two_drafts(self) -> float:
        """Exact for two drafts in O(V + s^2): prefix sums by rank, and the contenders' pairs."""
        match = self.matches[0]
        order = np.argsort(match.rank)
        a, b = self.drafts[0][order], self.drafts[1][order]
        res, rej = self.residual[order], self.rejected[order]
        s = len(match.keep)
        # Outside the contenders z beats y exactly when z ranks better.
        better_a = np.cumsum(rej * a) - rej * a
        better_b = np.cumsum(rej * b) - rej * b
        by_rank = np.sum(res[s:] * (b[s:] * better_a[s:] + a[s:] * better_b[s:]))
        pairs = np.outer(a[:s], b[:s]) + np.outer(b[:s], a[:s])
        np.fill_diagonal(pairs, 0.0)
        by_weight = rej[:s] @ (pairs * match.keep) @ res[:s]
        return float(by_rank + by_weight)

    def exact(self) -> float:
        """Exact for any number of drafts: one chain of winners for each y with residual mass."""
        hits = 0.0
        ranks = np.stack([match.rank for match in self.matches])
        keeps = np.stack([match.keep for match in self.matches])
        drafts = np.stack(self.drafts)
        with_any = _winner_chain(drafts, ranks, keeps)
        for y in np.flatnonzero(self.residual):
            undrafted = drafts.copy()
            undrafted[:, y] = 0.0
            without_y = _winner_chain(undrafted, ranks, keeps)
            hits += self.residual[y] * float(self.rejected @ (with_any - without_y))
        return hits

    def estimate(self, rng: np.random.Generator, runs: int) -> tuple[float, float]:
        """Mean over drafted tuples of the exact probability given the tuple; standard error."""
        drafted = draw_independent(self.drafts, rng, runs)
        share = np.zeros(drafted.shape)  # P(the token in this slot is the incumbent | tuple)
        share[:, 0] = 1.0
        for k, match in enumerate(self.matches, start=1):
            stays = keep_probabilities(match.rank, match.keep, drafted[:, :k], drafted[:, k, None])
            share[:, k] = (share[:, :k] * (1.0 - stays)).sum(axis=1)
            share[:, :k] *= stays
        rejected = (share * self.rejected[drafted]).sum(axis=1)
        repeats = np.zeros(drafted.shape, dtype=np.bool_)
        for k in range(1, drafted.shape[1]):
            repeats[:, k] = (drafted[:, :k] == drafted[:, k, None]).any(axis=1)
        hit = np.where(repeats, 0.0, self.residual[drafted]).sum(axis=1)
        values = rejected * hit
        slots = min(len(self.drafts), len(self.residual))
        most = self.rejected.max() * min(1.0, np.partition(self.residual, -slots)[-slots:].sum())
        error = standard_errors(values[:, None], np.array([most]))
        return float(values.mean()), float(error[0])


@kernel
def _winner_chain(drafts: FloatArray, ranks: IntArray, keeps: FloatArray) -> FloatArray:
    """Mass with which each token is selected when draft k has mass `drafts[k]` (n, V)."""
    winner: FloatArray = drafts[0].copy()
    size = len(winner)
    order = np.empty(size, dtype=np.int64)
    for k in range(len(ranks)):
        challenger = drafts[k + 1]
        keep = keeps[k]
        s = len(keep)
        for x in range(size):
            order[ranks[k, x]] = x
        following = np.zeros(size)
        worse_challenger = 0.0
        worse_winner = 0.0
        for r in range(size - 1, -1, -1):
            z = order[r]
            if r < s:
                held = worse_challenger
                taken = worse_winner
                for other in range(s):
                    x = order[other]
                    held += challenger[x] * (keep[r, other] if other != r else 1.0)
                    taken += winner[x] * (1.0 - keep[other, r]) if other != r else 0.0
            else:
                worse_challenger += challenger[z]
                held = worse_challenger
                taken = worse_winner
                worse_winner += winner[z]
            following[z] = winner[z] * held + challenger[z] * taken
        winner = following
    return winner
