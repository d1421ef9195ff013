"""Least p(H) - q(H)^n over prefixes that end among a few tokens, by partitioning around a ratio.

The last step of the search over buckets (`edges`): the tokens come in no
order, and only those parts are put in order that may hold the minimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.with_replacement.edges import SEARCH_TOLERANCE, Minimum
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.slope_bound import lowest_between
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray

SMALL_SEGMENT = 12
"""So few tokens are put in order by insertion."""


class Segment(NamedTuple):
    """Tokens of one bucket in no order, arrays of one length, and the prefix before them."""

    target: FloatArray
    draft: FloatArray
    ratio: FloatArray
    target_before: float
    draft_before: float
    tokens_before: int


@kernel
def search_segment(  # noqa: PLR0915, one stack of two arrays
    segment: Segment, num_drafts: int, best: Minimum
) -> Minimum:
    """Improve on the best prefix with those that end inside a segment; reorders the segment.

    Example:
        >>> p, q = np.array([0.3, 0.1]), np.array([0.2, 0.7])
        >>> segment = Segment(p, q, p / q, 0.0, 0.0, 0)
        >>> found = search_segment(segment, 1, Minimum(0.0, 0.0, 0.0, 0))
        >>> round(found.value, 12), found.tokens
        (-0.6, 1)
    """
    stack = np.empty((128, 3), dtype=np.int64)
    masses = np.empty((128, 4))
    stack[0, 0] = 0
    stack[0, 1] = len(segment.ratio)
    stack[0, 2] = segment.tokens_before
    target_in, draft_in = _masses(segment, 0, len(segment.ratio))
    masses[0, 0] = segment.target_before
    masses[0, 1] = segment.draft_before
    masses[0, 2] = target_in
    masses[0, 3] = draft_in
    depth = 1
    while depth > 0:
        depth -= 1
        start, stop, tokens = stack[depth, 0], stack[depth, 1], stack[depth, 2]
        target_before, draft_before = masses[depth, 0], masses[depth, 1]
        target_in, draft_in = masses[depth, 2], masses[depth, 3]
        if stop - start <= SMALL_SEGMENT:
            best = _search_in_order(
                segment, start, stop, num_drafts, best, (target_before, draft_before, tokens)
            )
            continue
        least, most = _ratio_range(segment.ratio[start:stop])
        if least == most:
            # Tokens of one ratio: the objective is concave along them, so its ends are enough.
            continue
        low_slope = num_drafts * draft_before ** (num_drafts - 1)
        high_slope = num_drafts * (draft_before + draft_in) ** (num_drafts - 1)
        left = target_before - draft_before**num_drafts
        right = (target_before + target_in) - (draft_before + draft_in) ** num_drafts
        bound = lowest_between(left, right, draft_in, high_slope - least, most - low_slope)
        if bound >= best.value - SEARCH_TOLERANCE:
            continue
        pivot = 0.5 * (max(least, low_slope) + min(most, high_slope))
        if not least < pivot <= most:
            pivot = most
        middle, target_left, draft_left = _partition(segment, start, stop, pivot)
        target_middle = target_before + target_left
        draft_middle = draft_before + draft_left
        tokens_middle = tokens + middle - start
        best = _better(best, num_drafts, target_middle, draft_middle, tokens_middle)
        # The larger part waits below the smaller one, which keeps the stack logarithmic.
        low = depth if middle - start > stop - middle else depth + 1
        high = 2 * depth + 1 - low
        stack[low, 0] = start
        stack[low, 1] = middle
        stack[low, 2] = tokens
        masses[low, 0] = target_before
        masses[low, 1] = draft_before
        masses[low, 2] = target_left
        masses[low, 3] = draft_left
        stack[high, 0] = middle
        stack[high, 1] = stop
        stack[high, 2] = tokens_middle
        masses[high, 0] = target_middle
        masses[high, 1] = draft_middle
        masses[high, 2] = target_in - target_left
        masses[high, 3] = draft_in - draft_left
        depth += 2
    return best


@kernel(fastmath={"nnan", "reassoc"})
def _ratio_range(ratio: FloatArray) -> tuple[float, float]:
    least = most = ratio[0]
    for i in range(1, len(ratio)):
        least = min(least, ratio[i])
        most = max(most, ratio[i])
    return least, most


@kernel
def _better(best: Minimum, num_drafts: int, target: float, draft: float, tokens: int) -> Minimum:
    value = target - draft**num_drafts
    if value < best.value - SEARCH_TOLERANCE:
        return Minimum(value, target, draft, tokens)
    return best


@kernel
def _masses(segment: Segment, start: int, stop: int) -> tuple[float, float]:
    target = draft = lost_target = lost_draft = 0.0
    for i in range(start, stop):
        target, lost_target = compensated_add(target, lost_target, segment.target[i])
        draft, lost_draft = compensated_add(draft, lost_draft, segment.draft[i])
    return target + lost_target, draft + lost_draft


@kernel
def _swap(segment: Segment, i: int, j: int) -> None:
    p, q, ratio = segment.target, segment.draft, segment.ratio
    p[i], p[j] = p[j], p[i]
    q[i], q[j] = q[j], q[i]
    ratio[i], ratio[j] = ratio[j], ratio[i]


@kernel
def _partition(segment: Segment, start: int, stop: int, pivot: float) -> tuple[int, float, float]:
    """Move tokens of ratio below the pivot to the front; how far they reach, their masses."""
    middle = start
    target = draft = lost_target = lost_draft = 0.0
    for i in range(start, stop):
        if segment.ratio[i] < pivot:
            target, lost_target = compensated_add(target, lost_target, segment.target[i])
            draft, lost_draft = compensated_add(draft, lost_draft, segment.draft[i])
            _swap(segment, i, middle)
            middle += 1
    return middle, target + lost_target, draft + lost_draft


@kernel
def _search_in_order(
    segment: Segment,
    start: int,
    stop: int,
    num_drafts: int,
    best: Minimum,
    before: tuple[float, float, int],
) -> Minimum:
    for i in range(start + 1, stop):
        j = i
        while j > start and segment.ratio[j - 1] > segment.ratio[j]:
            _swap(segment, j - 1, j)
            j -= 1
    target, draft, tokens = before
    for i in range(start, stop - 1):
        target += segment.target[i]
        draft += segment.draft[i]
        tokens += 1
        best = _better(best, num_drafts, target, draft, tokens)
    return best
