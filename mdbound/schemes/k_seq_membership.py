"""K-SEQ with the rho that is best for membership, rather than for the accept step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.independent_tests import draw_tested, tested_output
from mdbound.schemes.rates.k_seq_rho import optimal_rho

_GRID = 49
"""Values of rho that are tried before the best is refined: the rate has few humps, and a finer grid
costs a pass over the vocabulary a value."""

_LARGEST = 8.0
"""Largest rho that is tried, over n, or over the largest p / q if that is larger: beyond it no test
is near to being sure, and fewer and fewer drafts pass."""

_FARTHEST = 1e6
"""Beyond it nothing is tried: a draft passes once in a million."""

_TOLERANCE = 1e-9
_DIGITS = 4
"""Of rho: where the rate is flat its best is known to half the digits of a float only, and differs
between machines; with four it is the same, and costs the square of what they leave."""


@register
class KSeqMembership(Scheme):
    """Accept the first draft that passes a test with probability p / (rho q), rho for membership.

    As `k_seq`, but with a rho of its own. Every rho from that of `k_seq` on is lossless: with beta
    the sum of min(p / rho, q), a draft passes with probability a = 1 - (1 - beta)^n, and what is
    left is p - min(p / rho, q) a / beta. A larger rho passes fewer drafts, and its residual meets
    rejected ones: membership is a + sum of the residual times 1 - (1 - s)^n, s the law of a
    rejected draft. The published scheme maximises a alone.

    The rate is exact for the rho that is found; that no other has more is searched, not proved.

    Source: Sun et al. 2023 (SpecTr), K-SEQ, with another objective.

    Example:
        >>> p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
        >>> rate = KSeqMembership().acceptance(p, q, 3)
        >>> round(rate.accept, 4), round(rate.membership, 4)
        (0.784, 0.8778)
    """

    name = "k_seq_membership"
    table_order = 55
    softmaxes = 1_000.0
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        rates = np.array([_rates(p, q, n, best_rho(p, q, n)) for n in counts])
        return RowRates(rates[:, 0], rates[:, 1], np.zeros(len(counts)))

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        q, n = drafts[0], len(drafts)
        parts = _Parts(p, q, n, best_rho(p, q, n))
        return float(parts.inside()[token] / p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        q, n = drafts[0], len(drafts)
        rho = best_rho(p, q, n)
        return Samples(*draw_tested(p, drafts, rho, _Parts(p, q, n, rho).residual, rng, size))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        q, n = drafts[0], len(drafts)
        rho = best_rho(p, q, n)
        return tested_output(p, q, rho, _Parts(p, q, n, rho).residual, drafted)


class _Parts:
    """What passes and what is left at one rho.

    Attributes:
        passing: P(a draft passes), over n drafts.
        accepted: mass of each token that comes from a draft that passed, (V,).
        residual: the rest of p, (V,).
        missed: P(a rejected draft is the token), (V,).
    """

    def __init__(self, p: FloatArray, q: FloatArray, num_drafts: int, rho: float) -> None:
        passes = p / rho
        kept, rejected = np.minimum(passes, q), np.maximum(q - passes, 0.0)
        beta = float(kept.sum())
        fails = float(rejected.sum())  # 1 - beta, which cancels near 1
        self.passing = -float(np.expm1(num_drafts * np.log(fails))) if fails > 0.0 else 1.0
        self.accepted = kept * (self.passing / beta) if beta > 0.0 else np.zeros_like(p)
        self.residual = np.maximum(p - self.accepted, 0.0)
        self.missed = rejected / fails if fails > 0.0 else np.zeros_like(q)
        self.num_drafts = num_drafts

    def inside(self) -> FloatArray:
        """P(output = token, and it was drafted), (V,)."""
        met = 1.0 - (1.0 - self.missed) ** self.num_drafts
        return np.asarray(self.accepted + self.residual * met)


def _rates(p: FloatArray, q: FloatArray, num_drafts: int, rho: float) -> tuple[float, float]:
    parts = _Parts(p, q, num_drafts, rho)
    return parts.passing, float(parts.inside().sum())


def best_rho(p: FloatArray, q: FloatArray, num_drafts: int) -> float:
    """The rho with the largest membership that a search finds, no smaller than that of `k_seq`.

    Example:
        >>> p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
        >>> round(best_rho(p, q, 3), 3), round(best_rho(p, q, 1), 3)
        (2.5, 1.0)
    """
    from scipy.optimize import minimize_scalar

    least = float(optimal_rho(p, q, num_drafts))
    if num_drafts == 1 or not np.isfinite(least):
        return least

    def lost(rho: float) -> float:
        return -_rates(p, q, num_drafts, rho)[1]

    with np.errstate(over="ignore"):  # of a denormal draft mass
        ratio = p[q > 0.0] / q[q > 0.0]
    largest = _LARGEST * max(float(num_drafts), float(ratio.max()))
    tried = np.geomspace(least, max(min(largest, _FARTHEST), 2.0 * least), _GRID)
    values = np.array([lost(rho) for rho in tried])
    best = int(values.argmin())
    ends = tried[max(best - 1, 0)], tried[min(best + 1, _GRID - 1)]
    found = minimize_scalar(lost, bounds=ends, method="bounded", options={"xatol": _TOLERANCE})
    rounded = max(float(f"{found.x:.{_DIGITS}g}"), least)
    candidates = [(values[0], least), (lost(rounded), rounded)]
    # The rate has kinks where a test becomes sure, p / rho = q, and the best is often one of them.
    kink = float(ratio[np.abs(ratio - found.x).argmin()])
    if least <= kink <= _FARTHEST:
        candidates.append((lost(kink), kink))
    return float(min(candidates, key=lambda each: (each[0], each[1]))[1])
