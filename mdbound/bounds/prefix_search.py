"""Least p(H) - q(H)^n over prefixes of the order q/p, from buckets and without sorting.

Along the order, p and q^n are both convex functions of the draft mass Q. In a bucket with ratios
p/q in [low, high] and draft mass going from Q0 to Q1, the objective falls per unit of Q by at
most n Q1^(n-1) - low and rises by at most high - n Q0^(n-1). So it has no interior minimum unless
[low, high] meets [n Q0^(n-1), n Q1^(n-1)], and when it does, the two slopes bound it from below.
Only buckets that this cannot rule out, mostly one per n, are looked at token by token, and these
by partitioning around a pivot ratio in place of a sort.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.ratio_buckets import EDGE_SLACK, LARGEST_RATIO, Buckets
from mdbound.bounds.slope_bound import lowest_between
from mdbound.bounds.summation import compensated_add

IntArray = npt.NDArray[np.int64]

SEARCH_TOLERANCE = 4e-16
"""A range of tokens is passed over when it cannot beat the best value by more than this."""

SMALL_SEGMENT = 12
"""So few tokens are put in order by insertion."""

GROUP = 32
"""Buckets whose slopes are compared at once before each is looked at."""


class Prefixes(NamedTuple):
    """Masses of the prefixes that end at bucket edges.

    Attributes:
        target: p of each prefix, shape (buckets + 1,).
        draft: q of each prefix.
        tokens: tokens of each prefix.
        edges: ratio p/q at the edges, of normalised masses.
    """

    target: FloatArray
    draft: FloatArray
    tokens: IntArray
    edges: FloatArray


class Segment(NamedTuple):
    """Tokens of one bucket in no order, arrays of one length, and the prefix before them."""

    target: FloatArray
    draft: FloatArray
    ratio: FloatArray
    target_before: float
    draft_before: float
    tokens_before: int


class Minimum(NamedTuple):
    """Best prefix so far: value p - q^n, its two masses and its size."""

    value: float
    target: float
    draft: float
    tokens: int


@njit(cache=True, nogil=True)
def bucket_prefixes(buckets: Buckets, normalise: bool) -> tuple[Prefixes, float]:
    """Prefix masses at the bucket edges, and how far bucket sums may be off.

    The bucket whose sum is the least certain, by mass times number of tokens, is taken as the
    total less all others: in a bucket that holds most tokens, the rounding of a plain sum would
    be that of thousands of additions.

    Args:
        buckets: filled.
        normalise: divide by the totals (masses from logits) or take them as they are.

    Returns:
        The prefixes, and their rounding from plain bucket sums in unit roundoffs.
    """
    bins = len(buckets.tokens)
    target, draft = np.empty(bins + 1), np.empty(bins + 1)
    tokens = np.empty(bins + 1, dtype=np.int64)
    tokens[0] = 0
    for b in range(bins):
        tokens[b + 1] = tokens[b] + buckets.tokens[b]
    crowd = max(
        _prefix_masses(buckets.target, buckets.tokens, buckets.totals[0], target),
        _prefix_masses(buckets.draft, buckets.tokens, buckets.totals[1], draft),
    )
    edges = buckets.edges
    if normalise:
        target *= 1.0 / buckets.totals[0]
        draft *= 1.0 / buckets.totals[1]
        edges = edges * (buckets.totals[1] / buckets.totals[0])
    return Prefixes(target, draft, tokens, edges), crowd


@njit(cache=True, nogil=True)
def _prefix_masses(
    masses: FloatArray, tokens: IntArray, total: float, prefixes: FloatArray
) -> float:
    """Sums up to the most crowded bucket from the front, the others from the total back."""
    bins = len(masses)
    crowded, most, crowd = 0, 0.0, 0.0
    for b in range(bins):
        doubt = tokens[b] * masses[b]
        crowd += doubt
        if doubt > most:
            crowded, most = b, doubt
    prefixes[0] = 0.0
    base = lost = partial = 0.0
    for b in range(crowded):
        if b % GROUP == 0:
            # Plain sums inside a group, a compensated one over groups.
            base, lost = compensated_add(base, lost, partial)
            partial = 0.0
        partial += masses[b]
        prefixes[b + 1] = base + (partial + lost)
    base = lost = partial = 0.0
    for b in range(bins - 1, crowded - 1, -1):
        prefixes[b + 1] = total - (base + (partial + lost))
        if b % GROUP == 0:
            base, lost = compensated_add(base, lost, partial)
            partial = 0.0
        partial += masses[b]
    return (crowd - most) / total


@njit(cache=True, nogil=True, fastmath={"nnan", "reassoc", "contract"})
def _put_objective(
    target: FloatArray,
    draft: FloatArray,
    power: FloatArray,
    objective: FloatArray,
    least_of: FloatArray,
) -> float:
    """Objective p - power * q at every edge, its least value in each group, and overall."""
    best = 0.0
    for group in range(len(least_of)):
        least = 0.0
        for k in range(group * GROUP, min((group + 1) * GROUP, len(target))):
            value = target[k] - power[k] * draft[k]
            objective[k] = value
            least = min(least, value)
        least_of[group] = least
        best = min(best, least)
    return best


@njit(cache=True, nogil=True)
def _best_edge(prefixes: Prefixes, power: FloatArray, objective: FloatArray) -> tuple[float, int]:
    """Fill the objective at every edge; its least value and the first edge that attains it."""
    least_of = np.empty((len(power) + GROUP - 1) // GROUP)
    best = _put_objective(prefixes.target, prefixes.draft, power, objective, least_of)
    group = 0
    while least_of[group] > best + SEARCH_TOLERANCE:
        group += 1
    place = group * GROUP
    while objective[place] > best + SEARCH_TOLERANCE:
        place += 1
    return best, place


@njit(cache=True, nogil=True)
def edge_minimum(
    prefixes: Prefixes,
    num_drafts: int,
    power: FloatArray,
    objective: FloatArray,
    open_buckets: IntArray,
) -> tuple[Minimum, int]:
    """Smallest prefix that ends at an edge with the least value, and buckets left to look at.

    Args:
        prefixes: at the bucket edges.
        num_drafts: n.
        power: q^(n-1) at the edges.
        objective: scratch of the same length.
        open_buckets: filled with the buckets that may hold a smaller value inside.

    Returns:
        The best prefix that ends at an edge, and how many buckets are open.
    """
    best, place = _best_edge(prefixes, power, objective)
    found = Minimum(best, prefixes.target[place], prefixes.draft[place], prefixes.tokens[place])
    bins = len(power) - 1
    edges = prefixes.edges
    open_count = 0
    for first in range(0, bins, GROUP):
        last = min(first + GROUP, bins)
        if (
            edges[last] * (1.0 + EDGE_SLACK) <= num_drafts * power[first]
            or edges[first] * (1.0 - EDGE_SLACK) >= num_drafts * power[last]
        ):
            continue
        for b in range(first, last):
            fall = num_drafts * power[b + 1] - edges[b] * (1.0 - EDGE_SLACK)
            rise = edges[b + 1] * (1.0 + EDGE_SLACK) - num_drafts * power[b]
            if fall <= 0.0 or rise <= 0.0 or prefixes.tokens[b + 1] - prefixes.tokens[b] < 2:
                continue
            span = prefixes.draft[b + 1] - prefixes.draft[b]
            bound = lowest_between(objective[b], objective[b + 1], span, fall, rise)
            if bound < best - SEARCH_TOLERANCE:
                open_buckets[open_count] = b
                open_count += 1
    return found, open_count


@njit(cache=True, nogil=True)
def search_edges(
    prefixes: Prefixes, max_drafts: int
) -> tuple[list[Minimum], list[tuple[int, int]]]:
    """Best prefix at an edge for n = 1..max_drafts, and (n, bucket) pairs left to look at."""
    edges = len(prefixes.target)
    power = np.ones(edges)
    objective = np.empty(edges)
    found_open = np.empty(edges, dtype=np.int64)
    minima = []
    open_pairs = [(0, 0) for _ in range(0)]
    for n in range(1, max_drafts + 1):
        minimum, count = edge_minimum(prefixes, n, power, objective, found_open)
        minima.append(minimum)
        for i in range(count):
            open_pairs.append((n, found_open[i]))
        power *= prefixes.draft
    return minima, open_pairs


@njit(cache=True, nogil=True)
def open_tokens(
    buckets: Buckets, open_pairs: list[tuple[int, int]]
) -> tuple[npt.NDArray[np.int32], IntArray]:
    """Ids of the tokens in open buckets, grouped by bucket, and where each group begins.

    Args:
        buckets: filled.
        open_pairs: (n, bucket) as from `search_edges`; a bucket may occur for several n.

    Returns:
        Token ids, and the start of each bucket's group, shape (buckets,); -1 if it is not open.
    """
    starts = np.full(len(buckets.tokens), -1, dtype=np.int64)
    is_open = np.zeros(len(buckets.tokens), dtype=np.uint8)
    total = 0
    for _, b in open_pairs:
        if is_open[b] == 0:
            is_open[b] = 1
            starts[b] = total
            total += buckets.tokens[b]
    found = np.empty(total + 1, dtype=np.int32)
    count = 0
    for i in range(len(buckets.bucket_of)):
        if count == total:
            break
        found[count] = i
        count += is_open[buckets.bucket_of[i]]
    grouped = np.empty(total, dtype=np.int32)
    place = starts.copy()
    for i in range(total):
        b = buckets.bucket_of[found[i]]
        grouped[place[b]] = found[i]
        place[b] += 1
    return grouped, starts


@njit(cache=True, nogil=True)
def search_tokens(
    buckets: Buckets,
    prefixes: Prefixes,
    open_pairs: list[tuple[int, int]],
    starts: IntArray,
    target: FloatArray,
    draft: FloatArray,
    minima: list[Minimum],
) -> list[Minimum]:
    """Improve each n's best prefix with those that end inside its open buckets.

    Args:
        buckets: filled.
        prefixes: at their edges.
        open_pairs: (n, bucket) to look at.
        starts: where each bucket's tokens begin in the next two.
        target: p of the tokens in open buckets; reordered.
        draft: q of the same; reordered.
        minima: the best prefixes so far for n = 1, 2, ...
    """
    ratio = np.empty(len(target))
    for i in range(len(ratio)):
        ratio[i] = target[i] / draft[i] if draft[i] > 0.0 else LARGEST_RATIO
    for n, b in open_pairs:
        inside = slice(starts[b], starts[b] + buckets.tokens[b])
        segment = Segment(
            target[inside],
            draft[inside],
            ratio[inside],
            prefixes.target[b],
            prefixes.draft[b],
            prefixes.tokens[b],
        )
        minima[n - 1] = search_segment(segment, n, minima[n - 1])
    return minima


@njit(cache=True, nogil=True)
def search_segment(segment: Segment, num_drafts: int, best: Minimum) -> Minimum:
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
    stack[0] = 0, len(segment.ratio), segment.tokens_before
    target_in, draft_in = _masses(segment, 0, len(segment.ratio))
    masses[0] = segment.target_before, segment.draft_before, target_in, draft_in
    depth = 1
    while depth > 0:
        depth -= 1
        start, stop, tokens = stack[depth]
        target_before, draft_before, target_in, draft_in = masses[depth]
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
        stack[low] = start, middle, tokens
        masses[low] = target_before, draft_before, target_left, draft_left
        stack[high] = middle, stop, tokens_middle
        masses[high, :2] = target_middle, draft_middle
        masses[high, 2:] = target_in - target_left, draft_in - draft_left
        depth += 2
    return best


@njit(cache=True, nogil=True, fastmath={"nnan", "reassoc"})
def _ratio_range(ratio: FloatArray) -> tuple[float, float]:
    least = most = ratio[0]
    for i in range(1, len(ratio)):
        least = min(least, ratio[i])
        most = max(most, ratio[i])
    return least, most


@njit(cache=True, nogil=True)
def _better(best: Minimum, num_drafts: int, target: float, draft: float, tokens: int) -> Minimum:
    value = target - draft**num_drafts
    if value < best.value - SEARCH_TOLERANCE:
        return Minimum(value, target, draft, tokens)
    return best


@njit(cache=True, nogil=True)
def _masses(segment: Segment, start: int, stop: int) -> tuple[float, float]:
    target = draft = lost_target = lost_draft = 0.0
    for i in range(start, stop):
        target, lost_target = compensated_add(target, lost_target, segment.target[i])
        draft, lost_draft = compensated_add(draft, lost_draft, segment.draft[i])
    return target + lost_target, draft + lost_draft


@njit(cache=True, nogil=True)
def _swap(segment: Segment, i: int, j: int) -> None:
    for values in (segment.target, segment.draft, segment.ratio):
        values[i], values[j] = values[j], values[i]


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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
