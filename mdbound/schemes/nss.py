"""Naive speculative sampling (NSS): sample the target, then look whether the sample was drafted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.drafted_mass import drafted_mass, drafted_mass_of_each
from mdbound.schemes.rates.token_share import drafted_probability
from mdbound.schemes.sampling.draws import draw_independent, draw_tokens


@register
class NSS(Scheme):
    """Sample y ~ p without looking at the drafts; y is accepted when it was drafted.

    Drafts and output are independent, so both rates are the sum over y of
    p(y) (1 - product over drafts of (1 - q_k(y))). O(nV). The name is that of the papers; "naive"
    is in some of them the scheme that tests the first draft only, here `first_draft`.

    Source: naive sampling of Miao et al. 2024 (SpecInfer), section 4.3.

    Example:
        >>> NSS().acceptance([0.5, 0.5], [0.5, 0.5], 2).membership
        0.75
    """

    name = "nss"
    table_order = 20
    identical_only: ClassVar[bool] = False
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        return exact_rates(np.array([drafted_mass(p, q, n) for n in counts]))

    def _row_rates_independent(self, p: FloatArray, drafts: list[FloatArray]) -> RowRates:
        return exact_rates(np.array([drafted_mass_of_each(p, drafts)]))

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        del p  # the output does not depend on the drafts
        return drafted_probability(drafts, token)

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        drafted = draw_independent(drafts, rng, size)
        output = draw_tokens(p, rng, size)
        return Samples(drafted, output, (drafted == output[:, None]).any(axis=1))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        del drafts, drafted  # the output does not depend on them
        return p.copy()
