"""What a draft law has to offer: its optimal-acceptance curve and its containment F(H)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mdbound.bounds.distributions import FloatArray, check_num_drafts, check_pair
from mdbound.bounds.ratio_order import ratio_order
from mdbound.bounds.solution import AcceptanceCurve

BoolArray = npt.NDArray[np.bool_]


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

    def check(self, target: npt.ArrayLike, draft: Any, max_drafts: int) -> tuple[FloatArray, Any]:
        """Return target and draft as checked rows.

        Raises:
            InvalidDistributionError: the arrays are no distributions over one vocabulary.
            InvalidSettingError: max_drafts is below 1 or more than the law can draw.
        """
        check_num_drafts(max_drafts)
        return check_pair(target, draft)

    @abstractmethod
    def curve(
        self, target: FloatArray, draft: Any, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """Optimal acceptance of each row for n = 1..max_drafts, from checked rows."""

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
