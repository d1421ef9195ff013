"""What a draft law has to offer: its optimal-acceptance curve and its containment F(H)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.ratio_order import ratio_order
from mdbound.bounds.numerics.warped_softmax import warped_softmax
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, LogitsRows
from mdbound.bounds.problem.checks import (
    are_logits,
    check_num_drafts,
    check_pair,
    refuse_vanishing,
)
from mdbound.bounds.problem.logits_problem import LogitsProblem
from mdbound.bounds.problem.solution import AcceptanceCurve


class DraftLaw(ABC):
    """A way to draw the n drafts of a position; one subclass per law, registered once.

    `draft` stands for what the law draws from: checked rows (B, V) of one distribution, or for
    laws with several distributions a tuple of K such arrays. Single-row methods take the same
    without the leading axis.
    """

    name: ClassVar[str]
    """The value of `sampling=` that selects the law."""

    num_distributions: ClassVar[int | None] = 1
    """Draft distributions it takes; None stands for one per draft."""

    renormalises: ClassVar[bool] = False
    """Whether drafts are drawn from what others left, which a vanishing mass cannot scale."""

    compile_seconds: ClassVar[float] = 0.0
    """About how long its kernels take to compile, once for each machine, measured by
    `benchmarks.cold_start` on one core of an AMD EPYC; 0 if that is not known."""

    def check_num_drafts(self, max_drafts: int, num_distributions: int) -> None:
        """Refuse a number of drafts that cannot be drawn from so many draft distributions.

        Raises:
            InvalidSettingError: max_drafts is below 1, or more than the law can draw.
        """
        del num_distributions  # one is enough for any number of drafts
        check_num_drafts(max_drafts)

    @property
    def several_distributions(self) -> bool:
        """Whether each draft is drawn from a distribution of its own, so that n are given.

        Example:
            >>> from mdbound.bounds import draft_law
            >>> draft_law("independent").several_distributions
            True
        """
        return self.num_distributions is None

    def check(self, target: npt.ArrayLike, draft: Any, max_drafts: int) -> tuple[FloatArray, Any]:
        """Return target and draft as checked rows.

        Raises:
            InvalidDistributionError: the arrays are no distributions over one vocabulary.
            InvalidSettingError: max_drafts is below 1 or more than the law can draw.
        """
        self.check_num_drafts(max_drafts, 1)
        rows, drafts = check_pair(target, draft)
        if self.renormalises:
            refuse_vanishing(drafts)
        return rows, drafts

    @abstractmethod
    def curve(
        self, target: FloatArray, draft: Any, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """Optimal acceptance of each row for n = 1..max_drafts, from checked rows."""

    def curve_from_logits(
        self, problem: LogitsProblem[LogitsRows], max_drafts: int
    ) -> AcceptanceCurve:
        """The curve straight from float32 logits whose warpers are softmaxes alone.

        Laws with a kernel of their own override this. Rows that hold no logits, or that could not
        be solved, stay NaN.
        """
        return self.curve_through_probabilities(problem, max_drafts)

    def curve_through_probabilities(
        self, problem: LogitsProblem[npt.NDArray[Any]], max_drafts: int
    ) -> AcceptanceCurve:
        """The curve of logits of any float type and warpers: their distributions are made first.

        Rows that hold no logits, or that could not be solved, stay NaN.
        """
        rows = len(problem.target)
        hold_logits = [are_logits(batch.max(axis=1)) for batch in problem.batches]
        good = np.flatnonzero(np.all(hold_logits, axis=0))
        if len(good) == 0:
            return AcceptanceCurve.empty(rows, max_drafts)
        p, *q = (
            warped_softmax(batch[good], warpers)
            for batch, warpers in zip(problem.batches, problem.all_warpers, strict=True)
        )
        checked = self.check(p, q if self.several_distributions else q[0], max_drafts)
        return self.curve(*checked, max_drafts, strict=False).among(good, rows)

    @abstractmethod
    def optimal_subset(self, target: FloatArray, draft: Any, num_drafts: int) -> BoolArray:
        """Mask (V,) of a set H* of one row that attains the bound."""

    @abstractmethod
    def containment(self, draft: Any, subset: BoolArray, num_drafts: int) -> float:
        """F(H) of one row: the probability that all drafts lie in the set of mask (V,)."""


def optimal_prefix(target: FloatArray, draft: FloatArray, size: int) -> BoolArray:
    """Mask of the first `size` tokens of one row in the order q/p descending.

    Example:
        >>> optimal_prefix(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3]), 1).tolist()
        [False, True, False]
    """
    mask = np.zeros(len(target), dtype=np.bool_)
    mask[ratio_order(target, draft)[:size]] = True
    return mask
