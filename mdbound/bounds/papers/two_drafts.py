"""Two identical drafts (Khisti et al. 2025, Theorems 2 and 3), and the condition for any n.

Khisti et al. call the target q, the draft p and the number of drafts K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.with_replacement.law import with_replacement_curve
from mdbound.bounds.numerics.ratio_order import ratio_order, smallest_minimiser
from mdbound.bounds.numerics.summation import prefix_sums
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.checks import check_num_drafts, check_pair
from mdbound.errors import InvalidDistributionError

MARGIN_TOLERANCE = 1e-13
"""The whole vocabulary has margin 0 up to the rounding of the masses, so `holds` allows this."""


@dataclass(frozen=True)
class EqualsOneCondition:
    """Whether some lossless verifier always outputs a draft (alpha* = 1).

    Attributes:
        holds: p(H) >= q(H)^n for every H, up to `MARGIN_TOLERANCE`.
        margin: min over non-empty H of p(H) - q(H)^n. Never above 0 but for rounding, since the
            whole vocabulary gives 0; below 0 it is alpha* - 1.
        subset: ids of the tokens of a set that attains the margin, ascending.
    """

    holds: bool
    margin: float
    subset: npt.NDArray[np.int64]


def two_draft_acceptance(target: npt.ArrayLike, draft: npt.ArrayLike) -> float | FloatArray:
    """alpha* = min over H of p(H) + 1 - q(H)^2 for two i.i.d. drafts (Theorem 3).

    Args:
        target: p, shape (V,) or (B, V).
        draft: q, the same shape.

    Returns:
        A float for one row, shape (B,) for a batch.

    Raises:
        InvalidDistributionError: the arrays are no distributions over one vocabulary.

    Example:
        >>> round(two_draft_acceptance([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]), 12)
        0.86
    """
    margins = equals_one_margin(target, draft, 2)
    return 1.0 + np.minimum(margins, 0.0) if np.ndim(margins) else 1.0 + min(float(margins), 0.0)


def equals_one_margin(
    target: npt.ArrayLike, draft: npt.ArrayLike, num_drafts: int = 2
) -> float | FloatArray:
    """Smallest p(H) - q(H)^n over non-empty H; alpha* = 1 iff it is 0 (Theorem 2, Remark 2).

    Args:
        target: p, shape (V,) or (B, V).
        draft: q, the same shape.
        num_drafts: n, at least 1.

    Returns:
        A float for one row, shape (B,) for a batch.

    Raises:
        InvalidDistributionError: the arrays are no distributions over one vocabulary.
        InvalidSettingError: num_drafts is below 1.

    Example:
        >>> round(equals_one_margin([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]), 12)
        -0.14
    """
    check_num_drafts(num_drafts)
    rows, drafts = check_pair(target, draft)
    # The whole vocabulary has margin 0, so the least over non-empty sets is that over all sets.
    margins = with_replacement_curve(rows, drafts, num_drafts).acceptance[:, -1] - 1.0
    return margins if np.ndim(target) > 1 or np.ndim(draft) > 1 else float(margins[0])


def equals_one_condition(
    target: npt.ArrayLike, draft: npt.ArrayLike, num_drafts: int = 2
) -> EqualsOneCondition:
    """Decide alpha* = 1 for n i.i.d. drafts of one position, with margin and violating set.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).
        num_drafts: n, at least 1.

    Raises:
        InvalidDistributionError: no distributions, or more than one row.
        InvalidSettingError: num_drafts is below 1.

    Example:
        >>> equals_one_condition([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]).subset.tolist()
        [1, 2]
        >>> equals_one_condition([0.5, 0.5], [0.5, 0.5]).holds
        True
    """
    check_num_drafts(num_drafts)
    rows, drafts = check_pair(target, draft)
    if len(rows) != 1:
        raise InvalidDistributionError(
            f"equals_one_condition takes one position, not {len(rows)} rows: "
            "use equals_one_margin for a batch"
        )
    order, margins = _margins(rows[0], drafts[0], num_drafts)
    size = 1 + smallest_minimiser(margins, 2.0**-50)
    margin = float(margins.min())
    return EqualsOneCondition(margin >= -MARGIN_TOLERANCE, margin, np.sort(order[:size]))


def _margins(
    target: FloatArray, draft: FloatArray, num_drafts: int
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """The order q/p descending, and p(H) - q(H)^n of its non-empty prefixes."""
    order = ratio_order(target, draft)
    return order, prefix_sums(target[order])[1:] - prefix_sums(draft[order])[1:] ** num_drafts
