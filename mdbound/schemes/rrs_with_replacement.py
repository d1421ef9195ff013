"""Recursive rejection sampling over independent drafts (SpecInfer's multi-step sampling)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.rejection_curve import rejection_curve
from mdbound.schemes.rates.token_share import capped_share
from mdbound.schemes.sampling.draws import draw_independent, draw_tokens
from mdbound.schemes.sampling.speculative_step import next_residual


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

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        # The acceptances of y by the drafts 1..n sum to min(p, a_n q), a_n = 1 + Z(a_1) + ... up to
        # Z(a_{n-1}): what draft k adds is Z(a_k) min((p - a_k q)+ / Z(a_k), q).
        q, scale = drafts[0], 1.0
        if len(drafts) > 1:
            scale += float(rejection_curve(p, q, len(drafts) - 1).sum())
        return capped_share(scale * q[token], p[token])

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

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        accepted = dict.fromkeys(drafted, 0.0)
        residual, reached = p, 1.0
        for x, q in zip(drafted, drafts, strict=True):
            share = min(1.0, residual[x] / q[x])
            accepted[x] += reached * share
            reached *= 1.0 - share
            if reached == 0.0:
                break
            residual = next_residual(residual, q)
        return output_row(accepted, residual)
