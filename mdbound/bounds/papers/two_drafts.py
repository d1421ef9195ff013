"""Two identical drafts (Khisti et al. 2025, Theorems 2 and 3), and the condition for any n.

Khisti et al. call the target q, the draft p and the number of drafts K. All of this page is one
closed form: the least p(H) - q(H)^n over the prefixes H of the vocabulary sorted by q/p. The
general solver never sorts, and sums in buckets. Order and sums are written again here on purpose,
so that the two can disagree.

Rounding, with u = 2^-53. A running mass is within u of its value, relatively; the power multiplies
that by n and adds n - 1 products, the difference adds one. At the least value p(H) is at most
q(H)^n, which makes 2 n u. Sorting by rounded ratios may misplace tokens around an optimal prefix H:
one with p_i near t q_i, t = n q(H)^(n-1), by t u q_i at most, and as q^n lies above its tangent all
of them together cost n u. Hence `margin_error`: 3 n u, and one u for masses that are 1 within 1e-9
only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_num_drafts, check_pair
from mdbound.errors import InvalidDistributionError

MARGIN_TOLERANCE = 1e-13
"""The whole vocabulary has margin 0 up to the rounding of the masses, so `holds` allows this: a
hundred times that of a softmax, and below any difference that a text could show."""

TIE = 2.0**-50
"""Prefixes this close to the least margin attain it, and the shortest is reported. Less would let
rounding pick among equals, as for p = q."""

ROOM = 1e-6
"""Relative room around the range of ratios in which tokens are sorted, for masses that are 1 within
1e-9 and for plain sums. More sorts more tokens, a thousandth of it would still be safe."""

NOISE = 1e-12
"""A plain sum's value of a set may be wrong by this much, and is then no reason not to sort."""


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
    subset: IntArray


def two_draft_acceptance(target: npt.ArrayLike, draft: npt.ArrayLike) -> float | FloatArray:
    """alpha* = min over H of p(H) + 1 - q(H)^2 for two i.i.d. drafts (Theorem 3).

    Computed from sorted prefixes, apart from `optimal_acceptance`, and within `margin_error(2)` and
    half an ulp of 1 of the exact value of the given distributions: 8.4e-16.

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
    acceptance = 1.0 + np.minimum(equals_one_margin(target, draft, 2), 0.0)
    return acceptance if np.ndim(acceptance) else float(acceptance)


def equals_one_margin(
    target: npt.ArrayLike, draft: npt.ArrayLike, num_drafts: int = 2
) -> float | FloatArray:
    """Smallest p(H) - q(H)^n over non-empty H; alpha* = 1 iff it is 0 (Theorem 2, Remark 2).

    Args:
        target: p, shape (V,) or (B, V).
        draft: q, the same shape.
        num_drafts: n, at least 1.

    Returns:
        A float for one row, shape (B,) for a batch; each within `margin_error(num_drafts)` where it
        is below 0.

    Raises:
        InvalidDistributionError: the arrays are no distributions over one vocabulary.
        InvalidSettingError: num_drafts is below 1.

    Example:
        >>> round(equals_one_margin([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]), 12)
        -0.14
    """
    check_num_drafts(num_drafts)
    rows, drafts = check_pair(target, draft)
    margins = np.empty(len(rows))

    def fill(chunk: int, chunks: int) -> None:
        for row in range(chunk, len(rows), chunks):
            margins[row] = _prefix_margins(rows[row], drafts[row], num_drafts)[1].min()

    # What takes time of a long row, numpy does without the interpreter's lock.
    run_chunks(fill, len(rows))
    return margins if np.ndim(target) > 1 or np.ndim(draft) > 1 else float(margins[0])


def margin_error(num_drafts: int) -> float:
    """Largest error of a margin below 0, for the float64 distributions given (see the module).

    Example:
        >>> margin_error(2) < 8e-16
        True
    """
    return (3.0 * num_drafts + 1.0) * 2.0**-53


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
    order, margins = _prefix_margins(rows[0], drafts[0], num_drafts)
    margin = float(margins.min())
    shortest = int(np.flatnonzero(margins <= margin + TIE)[0])
    return EqualsOneCondition(margin >= -MARGIN_TOLERANCE, margin, np.sort(order[: shortest + 1]))


def _prefix_margins(p: FloatArray, q: FloatArray, num_drafts: int) -> tuple[IntArray, FloatArray]:
    """Tokens in an order whose prefixes hold the optimal sets, and p(H) - q(H)^n of each prefix."""
    order = _prefix_order(p, q, num_drafts)
    inside = _running_masses(q[order])
    power = inside
    for _ in range(num_drafts - 1):
        power = power * inside
    return order, _running_masses(p[order]) - power


def _prefix_order(p: FloatArray, q: FloatArray, num_drafts: int) -> IntArray:
    """The order q/p descending, as far as an optimal set may reach, sorted where it may end.

    An optimal H holds the tokens with p/q below t = n q(H)^(n-1) and none above. As q(H) is at most
    1, t is at most n, which bounds q(H), which bounds t again. And as the value of any set bounds
    the least from above, q(H)^n is at least its negative: t cannot be close to 0 either.
    """
    ratio = np.full_like(p, np.inf)
    with np.errstate(over="ignore"):
        np.divide(p, q, out=ratio, where=q > 0.0)
    reached = ratio <= num_drafts * (1.0 + ROOM)
    mass = float(q[reached].sum())
    value = float(p[reached].sum()) - mass**num_drafts
    least_mass = max(-value - NOISE, 0.0) ** (1.0 / num_drafts)
    low = num_drafts * least_mass ** (num_drafts - 1) * (1.0 - ROOM)
    high = num_drafts * mass ** (num_drafts - 1) * (1.0 + ROOM)
    open_tokens = np.flatnonzero((ratio >= low) & (ratio <= high))
    return np.concatenate([np.flatnonzero(ratio < low), open_tokens[ratio[open_tokens].argsort()]])


def _running_masses(values: FloatArray) -> FloatArray:
    """Sums of the first 1, 2, ..., m values, each rounded once.

    What every addition of the plain running sum lost is known exactly (Knuth's two-sum); the sum of
    these losses is added back.
    """
    sums = np.cumsum(values)
    before, after = sums[:-1], sums[1:]
    added = after - before
    after += np.cumsum((before - (after - added)) + (values[1:] - added))
    return sums
