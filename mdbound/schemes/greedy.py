"""Greedy drafting: the n - 1 most likely draft tokens, and one random token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import NO_TOKEN, RowRates, Samples
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.draft_without import draft_without
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.residual_mass import overlap_mass, total_mass
from mdbound.schemes.rates.token_share import capped_share
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.schemes.sampling.speculative_step import speculative_sampling
from mdbound.schemes.sampling.tuples import can_draw, draw_tuples


@kernel
def _greedy_rates(p: FloatArray, q: FloatArray, counts: IntArray) -> tuple[FloatArray, FloatArray]:
    accept = np.zeros(len(counts))
    membership = np.zeros(len(counts))
    ranked = most_likely_tokens(q, counts.max() - 1)
    rest = q.copy()
    removed = 0
    target_on_top = 0.0
    for c in range(len(counts)):
        while removed < min(counts[c] - 1, len(ranked)):
            target_on_top += p[ranked[removed]]
            rest[ranked[removed]] = 0.0
            removed += 1
        # Summed afresh rather than as 1 - q(top), which cancels when the top holds all the mass.
        mass = total_mass(rest)
        if mass > 0.0:
            # Divided token by token: the inverse of a denormal mass overflows.
            accept[c] = overlap_mass(p, rest / mass)
        membership[c] = target_on_top + accept[c]
    return accept, membership


@register
class Greedy(Scheme):
    """Draft T, the top n - 1 tokens of q, and z from q outside T; test z alone.

    z is tested by speculative sampling against h, q restricted to the complement of T. A rejection
    samples max(p - h, 0), which holds all of p on T, so that a residual draw often is a draft:
    membership p(T) + sum outside T of min(p, h) counts it, `accept` does not. Membership is optimal
    for this way of drafting. Ties in q go to the lower token id; tokens of zero draft probability
    are never drafted, so that T shrinks with the support. O(V) for each n.

    Source: as described by Hu et al. 2025, section on the greedy construction.

    Example:
        >>> rate = Greedy().acceptance([0.5, 0.3, 0.2], [0.6, 0.2, 0.2], 2)
        >>> round(rate.accept, 12), round(rate.membership, 12)
        (0.5, 1.0)
    """

    name = "greedy"
    table_order = 70
    sampling = "greedy"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        accept, membership = _greedy_rates(p, q, np.array(counts, dtype=np.int64))
        return RowRates(accept, membership, np.zeros(len(counts)))

    def possible(self, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
        """The most likely tokens in their order, then any other token of positive probability."""
        return can_draw(self.sampling, drafts, drafted)

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        top = most_likely_tokens(drafts[0], len(drafts) - 1)
        if token in top:
            return 1.0
        return capped_share(draft_without(drafts[0], top)[token], p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        h = draft_without(drafts[0], most_likely_tokens(drafts[0], len(drafts) - 1))
        drafted = draw_tuples(self.sampling, drafts, rng, size)
        if not h.any():
            return Samples(drafted, draw_tokens(p, rng, size), np.zeros(size, dtype=np.bool_))
        tokens = drafted[:, (drafted != NO_TOKEN).all(axis=0)][:, -1]
        return Samples(drafted, *speculative_sampling(p, h, tokens, rng))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        h = draft_without(drafts[0], np.array(drafted[:-1], dtype=np.int64))
        z = drafted[-1]
        return output_row({z: min(1.0, p[z] / h[z])}, np.maximum(p - h, 0.0))
