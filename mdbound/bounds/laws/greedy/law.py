"""The greedy construction of Hu et al. 2025: n - 1 most likely draft tokens and one draw.

With Top the n - 1 most likely tokens and h = q restricted to the rest and renormalised, all
drafts lie in H iff Top is in H and the draw is, so F(H) = h(H) for H containing Top, else 0, and

    alpha* = p(Top) + sum over the rest of min(p, h).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.greedy.rounding import BLOCK, SUM_ERROR, TIE, softmax_error
from mdbound.bounds.laws.greedy.sorted_rows import sorted_curve
from mdbound.bounds.numerics.compiled.array_loops import copy, least, most
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.flagged import put_flagged
from mdbound.bounds.numerics.fused_softmax import block_sum, exponentials_into
from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.numerics.summation import compensated_add, prefix_sums
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray, LogitsRows
from mdbound.bounds.problem.logits_problem import LogitsProblem
from mdbound.bounds.problem.small_problems import is_small
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings


class Close(NamedTuple):
    """Scratch for the tokens that one n puts into the set and another does not."""

    ids: npt.NDArray[np.int32]
    p: FloatArray
    q: FloatArray


class Greedy(DraftLaw):
    """The n - 1 most likely draft tokens, and one draw from the rest."""

    name = "greedy"
    renormalises = True
    compile_seconds = 3.0

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `greedy_curve`."""
        del strict  # every checked row is solved
        solve = sorted_curve if is_small(target, max_drafts) else greedy_curve
        return solve(target, draft, max_drafts)

    def curve_from_logits(
        self, problem: LogitsProblem[LogitsRows], max_drafts: int
    ) -> AcceptanceCurve:
        """As `greedy_curve`, one row of probabilities per thread at a time."""
        if is_small(problem.target, max_drafts):
            curve = self.curve_through_probabilities(problem, max_drafts)
            return curve.with_more_error(softmax_error(problem.vocab_size))
        p, q = problem.target, problem.drafts[0]
        temperatures = problem.warpers.temperature, problem.draft_temperatures[0]
        found, error_bound = new_findings(len(p), max_drafts)
        run_chunks(
            lambda chunk, chunks: _solve_logits(
                p, q, *temperatures, max_drafts, chunk, chunks, found
            ),
            len(p),
        )
        solved = ~np.isnan(found[:, 0])
        error_bound[solved] = SUM_ERROR + softmax_error(problem.vocab_size)
        return AcceptanceCurve.of_findings(found, error_bound)

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
        excess = prefix_sums(target[mask])[-1] - self.containment(draft, mask, num_drafts)
        if excess > SUM_ERROR:  # p sums to more than 1, by as much as a row may
            mask[:] = False
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
    found, error_bound = new_findings(len(target), max_drafts)
    run_chunks(
        lambda chunk, chunks: _solve_rows(target, draft, max_drafts, chunk, chunks, found),
        len(target),
    )
    error_bound[:] = SUM_ERROR
    return AcceptanceCurve.of_findings(found, error_bound)


@kernel
def _solve_rows(
    target: FloatArray,
    draft: FloatArray,
    max_drafts: int,
    chunk: int,
    chunks: int,
    found: FloatArray,
) -> None:
    rest = np.empty(target.shape[1])
    close = _close_scratch(target.shape[1])
    for row in range(chunk, len(target), chunks):
        copy(draft[row], rest)
        _solve_row(target[row], rest, (1.0, 1.0), max_drafts, close, found[row])


@kernel
def _solve_logits(
    target: LogitsRows,
    draft: LogitsRows,
    temperature: float,
    draft_temperature: float,
    max_drafts: int,
    chunk: int,
    chunks: int,
    found: FloatArray,
) -> None:
    p = np.empty(target.shape[1])
    rest = np.empty(target.shape[1])
    close = _close_scratch(target.shape[1])
    for row in range(chunk, len(target), chunks):
        target_total = exponentials_into(target[row], temperature, p)
        draft_total = exponentials_into(draft[row], draft_temperature, rest)
        if not (np.isnan(target_total) or np.isnan(draft_total)):
            _solve_row(p, rest, (target_total, draft_total), max_drafts, close, found[row])


@kernel
def _close_scratch(vocab_size: int) -> Close:
    # One id more: it is written before it is known to be one.
    return Close(
        np.empty(vocab_size + 1, dtype=np.int32), np.empty(vocab_size), np.empty(vocab_size)
    )


# Long: one thought: the masses that all n share, then each n from them.
@kernel
def _solve_row(
    p: FloatArray,
    rest: FloatArray,
    totals: tuple[float, float],
    max_drafts: int,
    close: Close,
    found: FloatArray,
) -> None:
    """Value, size, p(H), q(H) and h(H) of one row for every n; `rest` is q, and is overwritten.

    p and q are given up to the factors 1 / totals. The scale 1 / q(rest) grows with n. Tokens
    below h at the smallest scale, and those above it at the largest, need one pass for all n;
    only the others are looked at for each n.
    """
    target_total, draft_total = totals
    top = most_likely_tokens(rest, max_drafts - 1)
    top_draft = np.empty(len(top))
    for k in range(len(top)):
        top_draft[k] = rest[top[k]]
    for k in range(len(top)):
        rest[top[k]] = 0.0
    rest_mass = np.empty(len(top) + 1)
    rest_mass[len(top)] = _blocked_sum(rest)
    for k in range(len(top) - 1, -1, -1):
        rest_mass[k] = rest_mass[k + 1] + top_draft[k]
    # p / target_total < q / rest_mass in terms of what is given.
    scale = np.zeros(len(top) + 1)
    for k in range(len(top) + 1):
        scale[k] = target_total / rest_mass[k] if rest_mass[k] > 0.0 else 0.0
    smallest, largest = least(scale) * (1.0 - TIE), most(scale) * (1.0 - TIE)
    below, count = _split_off(p, rest, smallest, largest, close)
    p_close, q_close, size_close = _split_at(close.p[:count], close.q[:count], scale * (1.0 - TIE))
    p_top = q_top = 0.0
    for n in range(max_drafts):
        k = min(n, len(top))
        if 0 < n <= len(top):
            p_top += p[top[n - 1]]
            q_top += top_draft[n - 1]
        threshold = scale[k] * (1.0 - TIE)
        p_in = p_close[k] + below[0]
        q_out = q_close[k] + below[1]
        size = size_close[k] + below[2]
        for rank in range(k, len(top)):
            if p[top[rank]] < top_draft[rank] * threshold:
                p_in += p[top[rank]]
                size += 1
            else:
                q_out += top_draft[rank]
        h_out = q_out / rest_mass[k] if rest_mass[k] > 0.0 else 0.0
        found[0, n] = (p_top + p_in) / target_total + h_out
        if found[0, n] > 1.0 + SUM_ERROR:
            # p sums to more than 1, by as much as a row may.
            found[0, n] = 1.0
            _put_empty(found, n)
        elif size == 0 and rest_mass[k] > 0.0:
            # No token of the rest is in deficit: the empty set is as good, and smaller.
            _put_empty(found, n)
        else:
            h_in = 1.0 - h_out
            found[1, n] = k + size
            found[2, n] = (p_top + p_in) / target_total
            found[3, n] = (q_top + h_in * rest_mass[k]) / draft_total
            found[4, n] = h_in


@kernel
def _put_empty(found: FloatArray, n: int) -> None:
    """The empty set, of any acceptance."""
    for row in range(1, len(found)):
        found[row, n] = 0.0


@kernel
def _blocked_sum(values: FloatArray) -> float:
    """Sum of blocks in any order, then compensated: `BLOCK` + 2 roundings."""
    total = lost = 0.0
    for start in range(0, len(values), BLOCK):
        total, lost = compensated_add(total, lost, block_sum(values[start : start + BLOCK]))
    return total + lost


@kernel
def _split_at(
    p: FloatArray, q: FloatArray, scales: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """For each scale: mass of p where p < q * scale, of q elsewhere, how many the former are."""
    p_below, q_above = np.zeros((2, len(scales))), np.zeros((2, len(scales)))
    below = np.zeros(len(scales), dtype=np.int64)
    for start in range(0, len(p), BLOCK):
        x, y = p[start : start + BLOCK], q[start : start + BLOCK]
        for k in range(len(scales)):
            p_in, q_out, size = _block_split(x, y, scales[k])
            below[k] += size
            p_below[0, k], p_below[1, k] = compensated_add(p_below[0, k], p_below[1, k], p_in)
            q_above[0, k], q_above[1, k] = compensated_add(q_above[0, k], q_above[1, k], q_out)
    return p_below[0] + p_below[1], q_above[0] + q_above[1], below


@kernel
def _split_off(
    p: FloatArray, q: FloatArray, smallest: float, largest: float, close: Close
) -> tuple[tuple[float, float, int], int]:
    """Set aside what is the same for all scales from the smallest to the largest.

    Returns:
        Mass of p where p < q * smallest, of q where p >= q * largest, and the former's number;
        how many other tokens were copied to `close`.
    """
    p_below = q_above = p_lost = q_lost = 0.0
    below = count = 0
    flags = np.zeros(BLOCK, dtype=np.uint8)
    some = np.empty(BLOCK // 8 + 1, dtype=np.int32)
    for start in range(0, len(p), BLOCK):
        inside = slice(start, start + BLOCK)
        x, y, size = _flag_and_split(p[inside], q[inside], smallest, largest, flags)
        below += size
        p_below, p_lost = compensated_add(p_below, p_lost, x)
        q_above, q_lost = compensated_add(q_above, q_lost, y)
        count = put_flagged(flags, start, close.ids, count, some)
    for k in range(count):
        close.p[k] = p[close.ids[k]]
        close.q[k] = q[close.ids[k]]
    return (p_below + p_lost, q_above + q_lost, below), count


@kernel(fastmath={"reassoc", "nsz"})
def _block_split(p: FloatArray, q: FloatArray, scale: float) -> tuple[float, float, int]:
    """Mass of p where p < q * scale, of q elsewhere, and the number of the former tokens."""
    p_below = q_above = 0.0
    below = 0
    for i in range(len(p)):
        is_below = p[i] < q[i] * scale
        p_below += p[i] if is_below else 0.0
        q_above += q[i] if p[i] >= q[i] * scale else 0.0
        below += 1 if is_below else 0
    return p_below, q_above, below


@kernel(fastmath={"reassoc", "nsz"})
def _flag_and_split(
    p: FloatArray,
    q: FloatArray,
    smallest: float,
    largest: float,
    flags: npt.NDArray[np.uint8],
) -> tuple[float, float, int]:
    """As `_block_split` with two scales, and a flag for each token in between."""
    p_below = q_above = 0.0
    below = 0
    for i in range(len(p)):
        is_below, is_above = p[i] < q[i] * smallest, p[i] >= q[i] * largest
        p_below += p[i] if is_below else 0.0
        q_above += q[i] if is_above else 0.0
        below += 1 if is_below else 0
        flags[i] = np.uint8(not (is_below or is_above))
    for i in range(len(p), len(flags)):
        flags[i] = 0
    return p_below, q_above, below
