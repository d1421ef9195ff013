"""Recursive rejection sampling over drafts without replacement (RSD, Sequoia)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray
from mdbound.errors import InvalidSettingError
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.rejection_curve import rejection_curve
from mdbound.schemes.rates.rejection_paths import all_rejected, sampled_paths
from mdbound.schemes.rates.sorted_residual import SortedResidual, sort_residual
from mdbound.schemes.sampling.draws import token_at
from mdbound.schemes.sampling.speculative_step import next_residual
from mdbound.schemes.sampling.streams import row_generator, stratified_errors
from mdbound.schemes.sampling.tuples import can_draw, draw_tuples


@register
@dataclass(frozen=True)
class RRSWithoutReplacement(Scheme):
    """Recursive rejection sampling where a drafted token is never drafted again.

    Draft i comes from q restricted to the tokens not yet drafted, renormalised, and is tested
    against the residual left by the rejections before it. Rejected tokens have no residual mass,
    so both rates agree. Drafting stops when the support of q is exhausted; the residual is then
    sampled. At least as good as with replacement at every n.

    Exact in O(V log V) for n = 2, and for larger n while K S^(n-2) paths (K tokens with q > p, S
    with q > 0) stay within `max_exact_paths`, or once n reaches S. Otherwise the mean of an exact
    conditional probability over `paths` random rejection paths, with its standard error.

    Source: Jeon et al. 2024 (recursive speculative decoding), Chen et al. 2024 (Sequoia).

    Attributes:
        max_exact_paths: largest number of rejection paths that is summed exactly; more is slower,
            and exact for more rows.
        paths: random paths per row beyond that; four times as many halve the error.
        seed: of the random paths.

    Example:
        >>> scheme = RRSWithoutReplacement()
        >>> rate = scheme.acceptance([0.75, 0.25], [0.25, 0.75], 2)
        >>> rate.membership, rate.standard_error
        (1.0, 0.0)
    """

    name = "rrs_without_replacement"
    table_order = 40
    softmaxes = 150.0
    sampling = "without_replacement"

    max_exact_paths: int = 1 << 20
    paths: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        if self.paths < 2 or self.max_exact_paths < 0 or self.seed < 0:
            raise InvalidSettingError(
                f"paths is {self.paths}, max_exact_paths {self.max_exact_paths}, seed {self.seed}: "
                "give at least 2 paths, and 0 or more for the others"
            )

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        row = sort_residual(p, q)
        support = len(row.q)
        largest = min(max(counts), support)
        depth = self._exact_depth(row, largest)
        rejected = np.empty(largest)
        error = np.zeros(largest)
        rejected[:depth] = all_rejected(row, depth)
        if depth < largest:
            uniforms = row_generator(self.seed, p, q).random((self.paths, largest - 1))
            # Stratified first rejections, which the standard error knows.
            uniforms[:, 0] = (np.arange(self.paths) + uniforms[:, 0]) / self.paths
            estimates = sampled_paths(row, largest, uniforms)[:, depth:]
            rejected[depth:] = estimates.mean(axis=0)
            # No path rejects more than drafts with replacement do.
            error[depth:] = stratified_errors(estimates, rejection_curve(p, q, largest)[depth:])
        if largest == support:
            # Every token is drafted: all of the target's mass on them is accepted.
            rejected[-1], error[-1] = row.p_after[-1], 0.0
        columns = np.minimum(np.array(counts), largest) - 1
        accept = 1.0 - rejected[columns]
        return RowRates(accept, accept, error[columns])

    def _exact_depth(self, row: SortedResidual, largest: int) -> int:
        paths = int((row.ratio < 1.0).sum())
        depth = min(2, largest)
        while depth < largest and paths * len(row.q) <= self.max_exact_paths:
            paths *= len(row.q)
            depth += 1
        return depth

    def possible(self, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
        """Distinct tokens of positive probability."""
        return can_draw(self.sampling, drafts, drafted)

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        drafted = draw_tuples(self.sampling, drafts, rng, size)
        uniforms = rng.random((size, len(drafts) + 1))
        return Samples(drafted, *_verify(p, drafts[0], drafted, uniforms))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        accepted = dict.fromkeys(drafted, 0.0)
        residual, proposal, reached = p, drafts[0], 1.0
        for x in drafted:
            share = min(1.0, residual[x] / proposal[x])
            accepted[x] += reached * share
            reached *= 1.0 - share
            if reached == 0.0:
                break
            residual = next_residual(residual, proposal)
            proposal = proposal.copy()
            proposal[x] = 0.0
            left = proposal.sum()
            if left > 0.0:
                proposal /= left
        return output_row(accepted, residual)


@kernel
def _verify(
    p: FloatArray, q: FloatArray, drafts: IntArray, uniforms: FloatArray
) -> tuple[IntArray, BoolArray]:
    # Literal runs, one after the other: the drafted tokens are verified in order.
    size, num_drafts = drafts.shape
    output = np.empty(size, dtype=np.int64)
    accepted = np.zeros(size, dtype=np.bool_)
    for run in range(size):
        proposal = q.copy()
        residual = p.copy()
        for slot in range(num_drafts):
            x = drafts[run, slot]
            if x < 0:
                break
            total = proposal.sum()
            if uniforms[run, slot] * proposal[x] / total < residual[x]:
                output[run] = x
                accepted[run] = True
                break
            residual = np.maximum(residual - proposal / total, 0.0)
            residual /= residual.sum()
            proposal[x] = 0.0
        if not accepted[run]:
            output[run] = token_at(residual, uniforms[run, num_drafts])
    return output, accepted
