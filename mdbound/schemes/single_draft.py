"""Single-draft speculative sampling: the baseline with one drafted token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.residual_mass import overlap_mass
from mdbound.schemes.rates.token_share import capped_share
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.schemes.sampling.speculative_step import speculative_sampling


@register
class SingleDraft(Scheme):
    """Accept x ~ q with probability min(1, p(x)/q(x)); otherwise sample the residual.

    Both rates are the sum of min(p, q) (a rejected token has no residual mass), which is optimal
    for one draft. O(V).

    Source: Leviathan et al. 2023, Algorithm 1; Chen et al. 2023, Algorithm 2.

    Example:
        >>> SingleDraft().acceptance([0.5, 0.5], [0.75, 0.25], 1).membership
        0.75
    """

    name = "single_draft"
    table_order = 10
    max_drafts: ClassVar[int | None] = 1
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        return exact_rates(np.full(len(counts), overlap_mass(p, q)))

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        return capped_share(drafts[0][token], p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        tokens = draw_tokens(drafts[0], rng, size)
        output, accepted = speculative_sampling(p, drafts[0], tokens, rng)
        return Samples(tokens[:, None], output, accepted)

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        x, q = drafted[0], drafts[0]
        return output_row({x: min(1.0, p[x] / q[x])}, np.maximum(p - q, 0.0))
