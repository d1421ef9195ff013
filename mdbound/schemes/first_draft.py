"""Test the first of several drafts only; the others count when the residual draw hits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.drafted_mass import drafted_mass, drafted_mass_of_each
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.residual_mass import overlap_mass
from mdbound.schemes.rates.token_share import capped_share, drafted_probability
from mdbound.schemes.sampling.draws import draw_independent
from mdbound.schemes.sampling.speculative_step import speculative_sampling


@register
class FirstDraft(Scheme):
    """Speculative sampling on the first draft, whatever the other n - 1 are.

    `accept` is the sum of min(p, q_1), as with one draft. A rejected draft is replaced by a draw
    from max(p - q_1, 0), normalised, which hits one of the drafts that were not tested now and
    then: membership is sum of min(p, q_1) + sum of max(p - q_1, 0) (1 - product over the other
    drafts of (1 - q_k)). O(nV). The baseline that papers call naive: what a verifier loses that
    spends its drafts on one test.

    Source: Leviathan et al. 2023, Algorithm 1, with drafts to spare; the membership rate follows
    from the independence of the draws.

    Example:
        >>> rate = FirstDraft().acceptance([1.0, 0.0], [0.5, 0.5], 2)
        >>> rate.accept, rate.membership
        (0.5, 0.75)
    """

    name = "first_draft"
    table_order = 25
    identical_only: ClassVar[bool] = False
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        tested = overlap_mass(p, q)
        residual = np.maximum(p - q, 0.0)
        hits = [drafted_mass(residual, q, n - 1) if n > 1 else 0.0 for n in counts]
        return exact_rates(np.full(len(counts), tested), tested + np.array(hits))

    def _row_rates_independent(self, p: FloatArray, drafts: list[FloatArray]) -> RowRates:
        tested = overlap_mass(p, drafts[0])
        residual = np.maximum(p - drafts[0], 0.0)
        hits = drafted_mass_of_each(residual, drafts[1:])
        return exact_rates(np.array([tested]), np.array([tested + hits]))

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        tested = capped_share(drafts[0][token], p[token])
        return tested + (1.0 - tested) * drafted_probability(drafts[1:], token)

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        drafted = draw_independent(drafts, rng, size)
        return Samples(drafted, *speculative_sampling(p, drafts[0], drafted[:, 0], rng))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        first, q = drafted[0], drafts[0]
        return output_row({first: min(1.0, p[first] / q[first])}, np.maximum(p - q, 0.0))
