"""The optimal scheme: select a drafted token so that speculative sampling on it loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mdbound.bounds import canonical_decomposition, draft_law
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError
from mdbound.schemes.contract.inputs import Problem
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.token_share import capped_share
from mdbound.schemes.sampling.draws import draw_independent, draw_tokens

_RUNNABLE = "with_replacement"
"""The draft law whose selection rule is known at full vocabulary."""


@register
@dataclass(frozen=True)
class Optimal(Scheme):
    """Reaches the bound: both rates are the optimal acceptance of the draft law.

    Two steps (canonical decomposition): a selection rule picks one drafted token, whose law p_I
    makes the sum of min(p, p_I) largest; speculative sampling tests it against p_I. Rejected mass
    sits on tokens outside every draft that could have used it, so membership equals accept.

    Rates exist for every draft law (drafts of different laws count as "independent"). Running the
    algorithm needs the selection rule, which is known at full vocabulary for independent draws
    from one distribution.

    Source: Khisti et al. 2025, Theorem 1 and Remark 2; Hu et al. 2025 for the optimum.

    Attributes:
        sampling: the draft law, by its name in `mdbound.bounds`.

    Example:
        >>> round(Optimal().acceptance([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2).membership, 12)
        0.86
    """

    name = "optimal"
    table_order = 100
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

    def _check_runnable(self, drafts: list[FloatArray]) -> None:
        if self.sampling != _RUNNABLE or any(q is not drafts[0] for q in drafts):
            raise InvalidSettingError(
                f"sampling is {self.sampling!r}, and the optimal scheme can be run for identical "
                f"drafts drawn {_RUNNABLE!r} only: use its acceptance(), or scheme 'greedy', which "
                "is optimal for greedy drafts"
            )

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        if any(q is not drafts[0] for q in drafts):
            raise InvalidSettingError(
                "drafts of different laws have no closed canonical decomposition, so scheme "
                "'optimal' has no acceptance of one token: use its acceptance()"
            )
        rule = canonical_decomposition(p, drafts[0], len(drafts), self.sampling)
        return capped_share(rule.selected[token], p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        self._check_runnable(drafts)
        rule = canonical_decomposition(p, drafts[0], len(drafts), self.sampling)
        drafted = draw_independent(drafts, rng, size)
        output = rule.select(drafted, rng)
        fired = rng.random(size) * rule.selected[output] < p[output]
        rejected = int((~fired).sum())
        if rejected:
            output[~fired] = draw_tokens(rule.residual(), rng, rejected)
        return Samples(drafted, output, fired)

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        self._check_runnable(drafts)
        rule = canonical_decomposition(p, drafts[0], len(drafts), self.sampling)
        accepted = {
            z: share * rule.accept_probability(z)
            for z, share in rule.selection_probabilities(drafted).items()
        }
        return output_row(accepted, rule.residual())
