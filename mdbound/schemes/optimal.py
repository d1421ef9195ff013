"""The optimal scheme: select a drafted token so that speculative sampling on it loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mdbound.bounds import CanonicalDecomposition, canonical_decomposition, draft_law
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError
from mdbound.schemes.contract.inputs import Problem
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import NO_TOKEN, RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.token_share import capped_share
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.schemes.sampling.tuples import can_draw, draw_tuples


@register
@dataclass(frozen=True)
class Optimal(Scheme):
    """Reaches the bound: both rates are the optimal acceptance of the draft law.

    Two steps (canonical decomposition): a selection rule picks one drafted token, whose law p_I
    makes the sum of min(p, p_I) largest; speculative sampling tests it against p_I. Rejected mass
    sits on tokens outside every draft that could have used it, so membership equals accept.

    Rates exist for every draft law (drafts of different laws count as "independent"). Running the
    algorithm needs the selection rule: at full vocabulary with replacement and greedy, on cut
    vocabularies without replacement and for drafts of different laws
    (`CanonicalDecomposition.selection_probabilities` names the limits).

    Source: Khisti et al. 2025, Theorem 1 and Remark 2; Hu et al. 2025 for the optimum.

    Attributes:
        sampling: the draft law, by its name in `mdbound.bounds`.

    Example:
        >>> round(Optimal().acceptance([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2).membership, 12)
        0.86
    """

    name = "optimal"
    table_order = 100
    softmaxes = 12.0
    identical_only: ClassVar[bool] = False

    sampling: str = "with_replacement"

    def __post_init__(self) -> None:
        if draft_law(self.sampling).several_distributions:
            raise InvalidSettingError(
                f"sampling is {self.sampling!r}: leave it out and give one draft distribution per "
                "draft, which selects that law"
            )

    def _batch(self, problem: Problem, counts: Sequence[int], strict: bool = True) -> RowRates:
        # All rows in one call: the bounds run rows in parallel themselves.
        law = draft_law(self.sampling if problem.identical else "independent")
        drafts = problem.drafts[0] if problem.identical else tuple(problem.drafts)
        curve = law.curve(problem.target, drafts, max(counts), strict).acceptance
        return exact_rates(curve[:, np.array(counts) - 1])

    def possible(self, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
        """Whether the draft law gives this tuple a positive probability."""
        return can_draw(self._law(drafts), drafts, drafted)

    def _law(self, drafts: list[FloatArray]) -> str:
        return self.sampling if all(q is drafts[0] for q in drafts) else "independent"

    def _rule(self, p: FloatArray, drafts: list[FloatArray]) -> CanonicalDecomposition:
        law = self._law(drafts)
        of_law = drafts if law == "independent" else drafts[0]
        return canonical_decomposition(p, of_law, len(drafts), law)

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        return capped_share(self._rule(p, drafts).selected[token], p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        rule = self._rule(p, drafts)
        drafted = draw_tuples(self._law(drafts), drafts, rng, size)
        # Fewer tokens than drafts: the last places of every tuple are empty.
        output = rule.select(drafted[:, (drafted != NO_TOKEN).all(axis=0)], rng)
        fired = rng.random(size) * rule.selected[output] < p[output]
        rejected = int((~fired).sum())
        if rejected:
            output[~fired] = draw_tokens(rule.residual(), rng, rejected)
        return Samples(drafted, output, fired)

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        rule = self._rule(p, drafts)
        accepted = {
            z: share * rule.accept_probability(z)
            for z, share in rule.selection_probabilities(drafted).items()
        }
        return output_row(accepted, rule.residual())
