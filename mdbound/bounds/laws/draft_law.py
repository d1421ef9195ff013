"""What a draft law has to offer: its optimal-acceptance curve and its containment F(H)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.fused_softmax import softmax_into
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, LogitsRows
from mdbound.bounds.problem.checks import check_num_drafts, check_pair, refuse_vanishing
from mdbound.bounds.problem.ratio_order import ratio_order
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
        check_num_drafts(max_drafts)
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
        self,
        target: LogitsRows,
        drafts: Sequence[LogitsRows],
        temperature: float,
        draft_temperatures: Sequence[float],
        max_drafts: int,
    ) -> AcceptanceCurve:
        """The curve straight from float32 logits (B, V) and temperatures above 0.

        Laws with a kernel of their own override this; here the probabilities are made first.
        Rows that hold no logits, or that could not be solved, stay NaN.
        """
        rows = np.zeros(len(target), dtype=np.bool_)
        p = np.zeros(target.shape)
        q = [np.zeros(target.shape) for _ in drafts]
        for row in range(len(target)):
            rows[row] = softmax_into(target[row], temperature, p[row]) and all(
                softmax_into(draft[row], one, out[row])
                for draft, one, out in zip(drafts, draft_temperatures, q, strict=True)
            )
        solved = np.flatnonzero(rows)
        if len(solved) == 0:
            return AcceptanceCurve.empty(len(target), max_drafts)
        kept = tuple(one[solved] for one in q)
        draft = kept if self.several_distributions else kept[0]
        return self.curve(p[solved], draft, max_drafts, strict=False).among(solved, len(target))

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
