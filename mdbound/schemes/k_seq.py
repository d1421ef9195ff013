"""K-SEQ (SpecTr): independent tests of all drafts against a scaled-down target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.independent_tests import draw_tested, tested_output
from mdbound.schemes.rates.k_seq_rho import optimal_rho
from mdbound.schemes.rates.residual_mass import residual_mass
from mdbound.schemes.rates.token_share import capped_share


@register
class KSeq(Scheme):
    """Accept the first draft that passes an independent test with probability p / (rho q).

    If all fail, sample p - min(p / rho, q) (1 - (1 - beta)^n) / beta, normalised. rho is the
    smallest valid value, which maximises the accept rate 1 - Z(rho); there the residual is
    max(p - rho q, 0) and membership equals accept. A larger rho can have a larger membership rate
    (its residual then meets rejected drafts), which the published scheme does not use and
    `k_seq_membership` does.

    Lossless for independent draws only. Source: Sun et al. 2023 (SpecTr), K-SEQ with its
    optimal rho.

    Example:
        >>> round(KSeq().acceptance([1.0, 0.0], [0.5, 0.5], 2).membership, 12)
        0.75
    """

    name = "k_seq"
    table_order = 50
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        rejected = [residual_mass(p, q, optimal_rho(p, q, n)) for n in counts]
        return exact_rates(1.0 - np.array(rejected))

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        rho = optimal_rho(p, drafts[0], len(drafts))
        return capped_share(rho * drafts[0][token], p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        q, n = drafts[0], len(drafts)
        rho = optimal_rho(p, q, n)
        return Samples(*draw_tested(p, drafts, rho, np.maximum(p - rho * q, 0.0), rng, size))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        q, n = drafts[0], len(drafts)
        rho = optimal_rho(p, q, n)
        return tested_output(p, q, rho, np.maximum(p - rho * q, 0.0), drafted)
