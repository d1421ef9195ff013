"""One position under a draft law, checked: all that proofs and programs take from the laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.registry import draft_law
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidDistributionError


def check_position(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str, what: str
) -> tuple[FloatArray, FloatArray]:
    """Target and draft distributions of one position, checked as the law checks them.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for a law with several distributions.
        num_drafts: n.
        sampling: the draft law.
        what: who asks, for the message about several rows.

    Returns:
        p, shape (V,); the distributions of the drafts, shape (1, V), or (n, V) for a law with
        several.

    Raises:
        InvalidDistributionError: the arrays hold no distributions over one vocabulary, or rows
            of several positions.
        InvalidSettingError: an unknown law, or more drafts than it can draw.

    Example:
        >>> p, q = [0.5, 0.5], [0.25, 0.75]
        >>> _, drafts = check_position(p, [q, p, q], 2, "independent", "a proof")
        >>> drafts.tolist()
        [[0.25, 0.75], [0.5, 0.5]]
    """
    rows, checked = draft_law(sampling).check(target, draft, num_drafts)
    if len(rows) != 1:
        raise InvalidDistributionError(
            f"{what} takes one position, not {len(rows)} rows: give a target of shape (V,)"
        )
    drafts = np.concatenate(checked[:num_drafts]) if isinstance(checked, tuple) else checked
    return rows[0], drafts
