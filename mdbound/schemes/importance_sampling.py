"""Importance sampling over drafts with a truncated program (Khisti et al.), and its tournament."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mdbound.bounds import (
    TruncatedSelection,
    truncated_alphabet,
    truncated_selection,
)
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.residual_hits import ResidualHits, keep_probabilities
from mdbound.schemes.rates.residual_mass import overlap_mass
from mdbound.schemes.sampling.draws import draw_independent
from mdbound.schemes.sampling.speculative_step import speculative_sampling
from mdbound.schemes.sampling.streams import row_generator


@register
@dataclass(frozen=True)
class ImportanceSampling(Scheme):
    """Select one drafted token by a tournament of matches, then test it by speculative sampling.

    A match between an incumbent and the next draft ranks tokens by p - q1 q2. Two tokens among the
    best `threshold` ranks are decided by the weights of a linear program, others by rank. The
    program's optimum does not fix the weights; the balanced optimum of
    `mdbound.bounds.papers.truncated` is taken, so that rates are a function of the distributions.

    `accept` is the sum of min(p, p_I), p_I the law of the selected token, and exact. `membership`
    adds residual draws that hit a draft: exact for two drafts, and for more while
    `max_exact_steps` allows; otherwise the mean of an exact conditional probability over `runs`
    drafted tuples, whose standard error is reported. The drafts may have different laws.

    Source: Khisti et al. 2025, section 4 (their target is q, draft p).

    Attributes:
        threshold: contenders whose pairs enter the linear program; more accept more and cost more.
        alphabet_size: draft from the most likely tokens only; None drafts from all. Compare such
            rates with the bound of `drafting_law`, not of the full draft.
        max_exact_steps: largest work (tokens with residual mass times V times drafts) of an exact
            membership rate beyond two drafts.
        runs: drafted tuples per row where membership is estimated; four times as many halve the
            error.
        seed: of those tuples.

    Example:
        >>> scheme = ImportanceSampling(threshold=3)
        >>> rate = scheme.acceptance([0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3], 2)
        >>> round(rate.accept, 9), rate.standard_error
        (1.0, 0.0)
    """

    name = "importance_sampling"
    table_order = 80
    softmaxes = 300.0
    identical_only: ClassVar[bool] = False
    sampling = "with_replacement"

    threshold: int = 5
    alphabet_size: int | None = None
    max_exact_steps: int = 1 << 24
    runs: int = 16_384
    seed: int = 0

    def __post_init__(self) -> None:
        alphabet = 1 if self.alphabet_size is None else self.alphabet_size
        if min(self.threshold, alphabet) < 1 or self.runs < 2 or self.seed < 0:
            raise InvalidSettingError(
                f"threshold is {self.threshold}, alphabet_size {self.alphabet_size}, runs "
                f"{self.runs}, seed {self.seed}: give 1 or more contenders and tokens, 2 or more "
                "runs, and a seed of 0 or more"
            )

    def drafting_law(self, q: FloatArray) -> FloatArray:
        """What a draft is drawn from: q (V,), or its truncated alphabet.

        Example:
            >>> ImportanceSampling(alphabet_size=1).drafting_law([0.75, 0.25]).tolist()
            [1.0, 0.0]
        """
        return q if self.alphabet_size is None else truncated_alphabet(q, self.alphabet_size)

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        drafts = [self.drafting_law(q)] * max(counts)
        selection = self._selection(p, drafts)
        rates = [self._rates(p, drafts[:n], selection) for n in counts]
        return RowRates(*(np.array(column) for column in zip(*rates, strict=True)))

    def _row_rates_independent(self, p: FloatArray, drafts: list[FloatArray]) -> RowRates:
        laws = [self.drafting_law(q) for q in drafts]
        rates = self._rates(p, laws, self._selection(p, laws))
        return RowRates(*(np.array([value]) for value in rates))

    def _selection(self, p: FloatArray, drafts: list[FloatArray]) -> TruncatedSelection:
        return truncated_selection(p, np.stack(drafts), len(drafts), self.threshold)

    def _rates(
        self, p: FloatArray, drafts: list[FloatArray], selection: TruncatedSelection
    ) -> tuple[float, float, float]:
        matches = selection.matches[: len(drafts) - 1]
        winner = matches[-1].winner if matches else drafts[0]
        accept = overlap_mass(p, winner)
        if not matches:
            return accept, accept, 0.0
        hits = ResidualHits(p, drafts, selection)
        if len(drafts) == 2:
            return accept, accept + hits.of_two_drafts(), 0.0
        if hits.exact_steps <= self.max_exact_steps:
            return accept, accept + hits.exact(), 0.0
        mean, error = hits.estimate(row_generator(self.seed, p, drafts[0]), self.runs)
        return accept, accept + mean, error

    def possible(self, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
        """Tokens of positive probability, within the alphabet where it is truncated."""
        return super().possible([self.drafting_law(q) for q in drafts], drafted)

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        laws = [self.drafting_law(q) for q in drafts]
        selection = self._selection(p, laws)
        drafted = draw_independent(laws, rng, size)
        winner = drafted[:, 0].copy()
        for match, challenger in zip(selection.matches, drafted.T[1:], strict=True):
            stays = rng.random(size) < keep_probabilities(
                match.rank, match.keep, winner, challenger
            )
            winner = np.where(stays, winner, challenger)
        return Samples(drafted, *speculative_sampling(p, selection.selected, winner, rng))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        selection = self._selection(p, [self.drafting_law(q) for q in drafts])
        law = selection.selected
        accepted = {
            z: share * min(1.0, p[z] / law[z])
            for z, share in selection.selection_probabilities(drafted).items()
            if law[z] > 0.0
        }
        return output_row(accepted, np.maximum(p - law, 0.0))
