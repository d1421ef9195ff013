"""d alpha* / dq: what a draft should put where, for training one.

alpha* = 1 + p(H*) - F(H*), and at the optimal set the change of H* does not count (envelope), so
the gradient is that of -F at H*. It is taken of q / sum(q), so that it is orthogonal to q: through
a softmax of logits z the gradient in z is q times it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.position import check_position
from mdbound.bounds.laws.registry import draft_law, entry_of_law
from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.problem.array_types import BoolArray, FloatArray
from mdbound.errors import InvalidSettingError

Gradient = Callable[[FloatArray, list[FloatArray], BoolArray, int], FloatArray]
"""From p, the drafts, H* as a mask and n to d alpha* / dq, (V,), or (n, V) for several laws."""


def acceptance_gradient(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str = "with_replacement"
) -> FloatArray:
    """Gradient of the optimal acceptance in the draft's probabilities.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for `"independent"`.
        num_drafts: n; of draws without replacement at most 2.
        sampling: the draft law.

    Returns:
        g of shape (V,), or (n, V) for `"independent"`, with sum of q g = 0. Where q is made by a
        softmax, the gradient in its logits is q g. At a tie it is one of several; where alpha* is
        1, it is 0.

    Raises:
        InvalidDistributionError: an array holds no distribution, or the sizes differ.
        InvalidSettingError: an unknown law, n below 1, or draws without replacement of more than
            two, whose containment has no short form.

    Source: Danskin's theorem on the dual of Hu et al. 2025.

    Example:
        >>> g = acceptance_gradient([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
        >>> g.round(3).tolist()
        [1.28, -0.32, -0.32]
    """
    gradient = entry_of_law(
        GRADIENTS, sampling, "gradients", "take differences of optimal_acceptance"
    )
    p, drafts = check_position(target, draft, num_drafts, sampling, "acceptance_gradient")
    law = draft_law(sampling)
    rows: Any = list(drafts) if law.several_distributions else drafts[0]
    subset = law.optimal_subset(p, rows, num_drafts)
    return gradient(p, list(drafts), subset, num_drafts)


def _along(q: FloatArray, subset: BoolArray, slope: float) -> FloatArray:
    """Of slope times q(H) / sum of q."""
    return np.asarray(slope * (subset - float(q[subset].sum())), dtype=np.float64)


def _with_replacement(
    p: FloatArray, drafts: list[FloatArray], subset: BoolArray, num_drafts: int
) -> FloatArray:
    del p  # H* knows it
    q = drafts[0]
    return _along(q, subset, -num_drafts * float(q[subset].sum()) ** (num_drafts - 1))


def _without_replacement(
    p: FloatArray, drafts: list[FloatArray], subset: BoolArray, num_drafts: int
) -> FloatArray:
    if num_drafts == 1:
        return _with_replacement(p, drafts, subset, 1)
    if num_drafts > 2:
        raise InvalidSettingError(
            f"`num_drafts` {num_drafts}: gradients without replacement are known for n up to 2; "
            "take differences of optimal_acceptance"
        )
    # F = sum over H of f_j, f_j = q_j (Q - q_j) / (T (T - q_j)), T the sum of q, which is 1.
    q = drafts[0]
    mass = float(q[subset].sum())
    inside = q[subset]
    left = 1.0 - inside
    stretched = float((inside * (mass - inside) * (2.0 - inside) / left**2).sum())
    joined = float((inside / left).sum())
    slope = np.full(len(q), -stretched)  # every token adds to T
    # A token of H adds to Q as well; of its own f the slope is Q - q in all.
    of_others = inside / left - inside * (mass - inside) * (2.0 - inside) / left**2
    slope[subset] += joined - of_others + (mass - inside)
    return -slope


def _greedy(
    p: FloatArray, drafts: list[FloatArray], subset: BoolArray, num_drafts: int
) -> FloatArray:
    del subset  # the value has a closed form
    q = drafts[0]
    rest = q.copy()
    rest[most_likely_tokens(q, num_drafts - 1)] = 0.0
    mass = float(rest.sum())
    if mass == 0.0:
        return np.zeros_like(q)
    below = (rest > 0.0) & (rest / mass < p)
    slope = below / mass - float(rest[below].sum()) / mass**2
    return np.where(rest > 0.0, slope, 0.0)


def _independent(
    p: FloatArray, drafts: list[FloatArray], subset: BoolArray, num_drafts: int
) -> FloatArray:
    del p, num_drafts  # H* knows p, and there is a row for each draft
    masses = np.array([float(q[subset].sum()) for q in drafts])
    return np.stack(
        [_along(q, subset, -float(np.delete(masses, k).prod())) for k, q in enumerate(drafts)]
    )


GRADIENTS: dict[str, Gradient] = {
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,
    "greedy": _greedy,
    "independent": _independent,
}
"""By draft law."""
