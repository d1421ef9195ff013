"""Batches with rows that are no distributions: the others are solved, these stay NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.problem.array_types import BoolArray
from mdbound.bounds.problem.checks import SMALLEST_MASS, are_distributions
from mdbound.bounds.problem.solution import AcceptanceCurve


def solve_usable_rows(
    law: DraftLaw, target: npt.ArrayLike, draft: Any, max_drafts: int
) -> AcceptanceCurve:
    """The curve of a batch in which a bad row is NaN, and named by `AcceptanceCurve.unsolved`.

    Args:
        law: the draft law.
        target: p, shape (V,) or (B, V).
        draft: q, the same shape; for laws with several distributions a sequence of such arrays.
        max_drafts: N.

    Raises:
        InvalidDistributionError: shapes that differ, which is no matter of a row.
        InvalidSettingError: as `DraftLaw.check`.

    Example:
        >>> from mdbound.bounds.laws.with_replacement.law import WithReplacement
        >>> rows = [[0.5, 0.5], [np.nan, 0.5]]
        >>> solve_usable_rows(WithReplacement(), rows, [0.5, 0.5], 2).unsolved
        [1]
    """
    smallest = SMALLEST_MASS if law.renormalises else 0.0
    if law.several_distributions and isinstance(draft, np.ndarray) and draft.ndim < 2:
        law.check(target, draft, max_drafts)  # one row, not a sequence of them
    p, good = _stand_in(target, 0.0)
    if not law.several_distributions:
        q, usable = _stand_in(draft, smallest)
        goods = [good, usable]
        rows, drafts = law.check(p, q, max_drafts)
    else:
        pairs = [_stand_in(one, smallest) for one in draft]
        goods = [good, *(usable for _, usable in pairs)]
        rows, drafts = law.check(p, [q for q, _ in pairs], max_drafts)
    # Checked shapes: each array has one row or as many as the batch.
    solvable = np.flatnonzero(
        np.all([np.broadcast_to(usable, len(rows)) for usable in goods], axis=0)
    )
    if len(solvable) == 0:
        return AcceptanceCurve.empty(len(rows), max_drafts)
    if isinstance(drafts, tuple):
        kept: Any = tuple(one[solvable] for one in drafts)
    else:
        kept = drafts[solvable]
    curve = law.curve(rows[solvable], kept, max_drafts, strict=False)
    return curve.among(solvable, len(rows))


def _stand_in(probabilities: npt.ArrayLike, smallest: float) -> tuple[npt.ArrayLike, BoolArray]:
    """The array with a distribution in place of each bad row, and which rows were good.

    Arrays of a wrong shape come back as they are, for the check to refuse.
    """
    rows = np.array(probabilities, dtype=np.float64, ndmin=2)
    if rows.ndim != 2 or rows.shape[1] == 0:
        return probabilities, np.ones(1, dtype=np.bool_)
    good: BoolArray = are_distributions(rows, smallest)
    rows[~good] = np.eye(1, rows.shape[1])
    return rows, good
