"""The greedy construction of Hu et al. 2025: n - 1 most likely draft tokens and one draw.

With Top the n - 1 most likely tokens and h = q restricted to the rest and renormalised, all
drafts lie in H iff Top is in H and the draw is, so F(H) = h(H) for H containing Top, else 0, and

    alpha* = p(Top) + sum over the rest of min(p, h).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, njit, prange

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.draft_law import BoolArray, DraftLaw, LogitsRows
from mdbound.bounds.fused_softmax import block_sum, mass_error, softmax_into
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF, prefix_sums

IntArray = npt.NDArray[np.int64]

BLOCK = 128
"""Tokens summed in any order; the sums of blocks are compensated."""

TIE = 2.0**-50
"""p within this of h, relatively, counts as equal: rounding must not pick the set."""

SUM_ERROR = (2.0 * BLOCK + 40.0) * UNIT_ROUNDOFF
"""Two sums of blocks, the renormalisation, a product and a minimum for each token."""


class Greedy(DraftLaw):
    """The n - 1 most likely draft tokens, and one draw from the rest."""

    name = "greedy"
    renormalises = True

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `greedy_curve`."""
        del strict  # every checked row is solved
        return greedy_curve(target, draft, max_drafts)

    def curve_from_logits(
        self,
        target: LogitsRows,
        drafts: Sequence[LogitsRows],
        temperature: float,
        draft_temperatures: Sequence[float],
        max_drafts: int,
    ) -> AcceptanceCurve:
        """As `greedy_curve`, one row of probabilities per thread at a time."""
        curve = AcceptanceCurve.empty(len(target), max_drafts)
        _solve_logits(
            target,
            drafts[0],
            temperature,
            draft_temperatures[0],
            get_num_threads(),
            curve.acceptance,
            curve.subset_size,
            curve.target_mass,
            curve.draft_mass,
            curve.containment,
        )
        solved = curve.subset_size >= 0
        curve.error_bound[solved] = SUM_ERROR + _softmax_error(target.shape[1])
        return curve

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """Top and the tokens of the rest with p < h; empty if there are none of these."""
        top = most_likely_tokens(draft, num_drafts - 1)
        rest = draft.copy()
        rest[top] = 0.0
        rest_mass = prefix_sums(rest)[-1]
        mask: BoolArray = np.zeros(len(draft), dtype=np.bool_)
        if rest_mass > 0.0:
            mask = (rest > 0.0) & (target < rest * ((1.0 - TIE) / rest_mass))
            if not mask.any():
                return mask
        mask[top] = True
        return mask

    def containment(self, draft: FloatArray, subset: BoolArray, num_drafts: int) -> float:
        """h(H) for H containing Top, else 0; 1 when there is no draw left."""
        top = most_likely_tokens(draft, num_drafts - 1)
        if not subset[top].all():
            return 0.0
        rest = draft.copy()
        rest[top] = 0.0
        rest_mass = prefix_sums(rest)[-1]
        return float(prefix_sums(rest[subset])[-1] / rest_mass) if rest_mass > 0.0 else 1.0


def greedy_curve(target: FloatArray, draft: FloatArray, max_drafts: int) -> AcceptanceCurve:
    """Optimal acceptance of the greedy construction for n = 1..max_drafts.

    Only tokens of positive draft probability are drafted; ties go to the lower token id. When
    fewer than n tokens can be drafted, they are all drafted and there is no draw.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> greedy_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.9, 1.0]]
    """
    curve = AcceptanceCurve.empty(len(target), max_drafts)
    _solve_rows(
        target,
        draft,
        get_num_threads(),
        curve.acceptance,
        curve.subset_size,
        curve.target_mass,
        curve.draft_mass,
        curve.containment,
    )
    curve.error_bound[:] = SUM_ERROR
    return curve


def _softmax_error(vocab_size: int) -> float:
    """Rounding of the probabilities: `mass_error` in p, and 4 + 3 |ln q| roundoffs each in h.

    The mean of |ln q| over the rest is at most ln V + |ln q(rest)|, and the latter at most
    680 + ln V because smaller exponentials are taken as 0.
    """
    of_draw = 10.0 + 3.0 * (2.0 * np.log(vocab_size) + 680.0)
    return float((mass_error(vocab_size) + of_draw) * UNIT_ROUNDOFF)


@njit(cache=True, nogil=True)
def most_likely_tokens(draft: FloatArray, count: int) -> IntArray:
    """Ids of the `count` most likely tokens of positive probability, most likely first.

    Ties go to the lower token id. Fewer come back when the support is smaller.

    Example:
        >>> most_likely_tokens(np.array([0.25, 0.0, 0.5, 0.25]), 2).tolist()
        [2, 0]
    """
    top = np.empty(count, dtype=np.int64)
    found = 0
    for start in range(0, len(draft), BLOCK) if count > 0 else range(0):
        stop = min(start + BLOCK, len(draft))
        least = draft[top[found - 1]] if found == count else 0.0
        if not _largest(draft[start:stop]) > least:
            continue
        for token in range(start, stop):
            mass = draft[token]
            if mass <= 0.0 or (found == count and mass <= draft[top[found - 1]]):
                continue
            place = found if found < count else count - 1
            while place > 0 and draft[top[place - 1]] < mass:
                top[place] = top[place - 1]
                place -= 1
            top[place] = token
            found = min(found + 1, count)
    return top[:found]


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _largest(values: FloatArray) -> float:
    largest = 0.0
    for i in range(len(values)):
        largest = max(largest, values[i])
    return largest


@njit(cache=True, parallel=True, nogil=True)
def _solve_rows(
    target: FloatArray,
    draft: FloatArray,
    threads: int,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> None:
    chunks = min(len(target), 4 * threads)
    for chunk in prange(chunks):
        rest = np.empty(target.shape[1])
        close = np.empty((2, target.shape[1]))
        solved = np.empty((5, acceptance.shape[1]))
        for row in range(chunk, len(target), chunks):
            rest[:] = draft[row]
            _solve_row(target[row], rest, close, solved)
            acceptance[row] = solved[0]
            target_mass[row] = solved[2]
            draft_mass[row] = solved[3]
            containment[row] = solved[4]
            for n in range(acceptance.shape[1]):
                subset_size[row, n] = int(solved[1, n])


@njit(cache=True, parallel=True, nogil=True)
def _solve_logits(
    target: LogitsRows,
    draft: LogitsRows,
    temperature: float,
    draft_temperature: float,
    threads: int,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> None:
    chunks = min(len(target), 4 * threads)
    for chunk in prange(chunks):
        p = np.empty(target.shape[1])
        rest = np.empty(target.shape[1])
        close = np.empty((2, target.shape[1]))
        solved = np.empty((5, acceptance.shape[1]))
        for row in range(chunk, len(target), chunks):
            if not softmax_into(target[row], temperature, p):
                continue
            if not softmax_into(draft[row], draft_temperature, rest):
                continue
            _solve_row(p, rest, close, solved)
            acceptance[row] = solved[0]
            target_mass[row] = solved[2]
            draft_mass[row] = solved[3]
            containment[row] = solved[4]
            for n in range(acceptance.shape[1]):
                subset_size[row, n] = int(solved[1, n])


@njit(cache=True, nogil=True)
def _solve_row(p: FloatArray, rest: FloatArray, close: FloatArray, solved: FloatArray) -> None:
    """Value, size, p(H), q(H) and h(H) of one row for every n; `rest` is q, and is overwritten.

    The scale 1 / q(rest) grows with n. Tokens below h at the smallest scale, and those above it
    at the largest, need one pass for all n; only the others are looked at for each n.
    """
    max_drafts = solved.shape[1]
    top = most_likely_tokens(rest, max_drafts - 1)
    top_draft = rest[top]
    rest[top] = 0.0
    rest_mass = np.empty(len(top) + 1)
    rest_mass[len(top)] = _blocked_sum(rest)
    for k in range(len(top) - 1, -1, -1):
        rest_mass[k] = rest_mass[k + 1] + top_draft[k]
    scale = np.zeros(len(top) + 1)
    for k in range(len(top) + 1):
        scale[k] = 1.0 / rest_mass[k] if rest_mass[k] > 0.0 else 0.0
    smallest, largest = scale.min() * (1.0 - TIE), scale.max() * (1.0 - TIE)
    p_below, q_above, size_below = _split(p, rest, smallest, largest)
    count = _copy_between(p, rest, smallest, largest, close)
    p_top = q_top = 0.0
    for n in range(max_drafts):
        k = min(n, len(top))
        if 0 < n <= len(top):
            p_top += p[top[n - 1]]
            q_top += top_draft[n - 1]
        threshold = scale[k] * (1.0 - TIE)
        p_in, q_out, size = _split(close[0, :count], close[1, :count], threshold, threshold)
        p_in += p_below
        q_out += q_above
        size += size_below
        for rank in range(k, len(top)):
            if p[top[rank]] < top_draft[rank] * threshold:
                p_in += p[top[rank]]
                size += 1
            else:
                q_out += top_draft[rank]
        h_out = q_out * scale[k]
        solved[0, n] = p_top + p_in + h_out
        if size == 0 and rest_mass[k] > 0.0:
            # No token of the rest is in deficit: the empty set is as good, and smaller.
            solved[1:, n] = 0.0
        else:
            h_in = 1.0 - h_out
            solved[1, n] = k + size
            solved[2, n] = p_top + p_in
            solved[3, n] = q_top + h_in * rest_mass[k]
            solved[4, n] = h_in


@njit(cache=True, nogil=True)
def _blocked_sum(values: FloatArray) -> float:
    """Sum of blocks in any order, then compensated: `BLOCK` + 2 roundings."""
    total = lost = 0.0
    for start in range(0, len(values), BLOCK):
        x = block_sum(values[start : start + BLOCK])
        larger = total + x
        lost += (total - larger) + x if total >= x else (x - larger) + total
        total = larger
    return total + lost


@njit(cache=True, nogil=True)
def _split(
    p: FloatArray, q: FloatArray, smallest: float, largest: float
) -> tuple[float, float, int]:
    """Mass of p where p < q * smallest, of q where p >= q * largest, and the former's number."""
    p_below = q_above = p_lost = q_lost = 0.0
    below = 0
    for start in range(0, len(p), BLOCK):
        x, y, size = _block_split(
            p[start : start + BLOCK], q[start : start + BLOCK], smallest, largest
        )
        below += size
        larger = p_below + x
        p_lost += (p_below - larger) + x if p_below >= x else (x - larger) + p_below
        p_below = larger
        larger = q_above + y
        q_lost += (q_above - larger) + y if q_above >= y else (y - larger) + q_above
        q_above = larger
    return p_below + p_lost, q_above + q_lost, below


@njit(cache=True, nogil=True)
def _copy_between(
    p: FloatArray, q: FloatArray, smallest: float, largest: float, close: FloatArray
) -> int:
    """Copy the tokens with q * smallest <= p < q * largest; return their number."""
    count = 0
    for i in range(len(p)):
        close[0, count] = p[i]
        close[1, count] = q[i]
        count += 1 if q[i] * smallest <= p[i] < q[i] * largest else 0
    return count


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _block_split(
    p: FloatArray, q: FloatArray, smallest: float, largest: float
) -> tuple[float, float, int]:
    p_below = q_above = 0.0
    below = 0
    for i in range(len(p)):
        p_below += p[i] if p[i] < q[i] * smallest else 0.0
        q_above += q[i] if p[i] >= q[i] * largest else 0.0
        below += 1 if p[i] < q[i] * smallest else 0
    return p_below, q_above, below
