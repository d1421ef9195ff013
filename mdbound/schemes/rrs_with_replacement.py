"""Recursive rejection sampling over independent drafts (SpecInfer's multi-step sampling)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.draws import draw_independent, draw_tokens
from mdbound.schemes.registry import register
from mdbound.schemes.residual_mass import residual_mass
from mdbound.schemes.scheme import RowRates, Samples, Scheme, exact_rates


@kernel
def rejection_curve(p: FloatArray, q: FloatArray, max_drafts: int) -> FloatArray:
    """P(all of the first 1, 2, ..., max_drafts drafts are rejected), in O(max_drafts V).

    After i rejections the residual is max(p - a_i q, 0) / Z(a_i) with a_0 = 0 and
    a_{i+1} = a_i + Z(a_i), and Z(a_i) is the probability of getting there.

    Example:
        >>> rejection_curve(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 2).tolist()
        [0.5, 0.25]
    """
    rejected = np.empty(max_drafts)
    a = 0.0
    z = 1.0
    for i in range(max_drafts):
        a += z
        z = residual_mass(p, q, a)
        rejected[i] = z
    return rejected


@register
class RRSWithReplacement(Scheme):
    """Test each draft against the residual left by the rejections before it.

    Draft i is accepted with probability min(1, p_i / q); on rejection p_{i+1} is max(p_i - q, 0),
    normalised, and after the last rejection the output is drawn from it. Both rates agree: a
    rejected token never has residual mass again. A repeated draft that was rejected before must
    still update the residual: skipping it is not lossless.

    Source: Miao et al. 2024 (SpecInfer), multi-step speculative sampling.

    Example:
        >>> rate = RRSWithReplacement().acceptance([1.0, 0.0], [0.5, 0.5], 2)
        >>> rate.accept, rate.membership
        (0.75, 0.75)
    """

    name = "rrs_with_replacement"
    table_order = 30
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        rejected = rejection_curve(p, q, max(counts))
        return exact_rates(1.0 - rejected[np.array(counts) - 1])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        q = drafts[0]
        drafted = draw_independent(drafts, rng, size)
        output = np.empty(size, dtype=np.int64)
        waiting: IntArray = np.arange(size)
        residual = p
        for slot in range(len(drafts)):
            tokens = drafted[waiting, slot]
            accepted = rng.random(len(waiting)) * q[tokens] < residual[tokens]
            output[waiting[accepted]] = tokens[accepted]
            waiting = waiting[~accepted]
            if not len(waiting):
                break
            residual = next_residual(residual, q)
        fired = np.ones(size, dtype=np.bool_)
        fired[waiting] = False
        if len(waiting):
            output[waiting] = draw_tokens(residual, rng, len(waiting))
        return Samples(drafted, output, fired)

    def _branches(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> dict[int, float]:
        inside = dict.fromkeys(drafted, 0.0)
        residual, reached = p, 1.0
        for x, q in zip(drafted, drafts, strict=True):
            accept = min(1.0, residual[x] / q[x])
            inside[x] += reached * accept
            reached *= 1.0 - accept
            if reached == 0.0:
                return inside
            residual = next_residual(residual, q)
        return {x: mass + reached * residual[x] for x, mass in inside.items()}


def next_residual(residual: FloatArray, q: FloatArray) -> FloatArray:
    """max(residual - q, 0), normalised: the target of the draft after a rejection.

    Example:
        >>> next_residual(np.array([1.0, 0.0]), np.array([0.5, 0.5])).tolist()
        [1.0, 0.0]
    """
    left = np.maximum(residual - q, 0.0)
    total = left.sum()
    # No mass is left only where a rejection had probability zero up to rounding.
    return np.asarray(left / total) if total > 0.0 else residual
