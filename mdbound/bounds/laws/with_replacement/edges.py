"""Least p(H) - q(H)^n over prefixes of the order q/p that end at bucket edges, for all n.

Along the order, p and q^n are both convex functions of the draft mass Q. In a bucket with ratios
p/q in [low, high] and draft mass going from Q0 to Q1, the objective falls per unit of Q by at
most n Q1^(n-1) - low and rises by at most high - n Q0^(n-1). So it has no interior minimum unless
[low, high] meets [n Q0^(n-1), n Q1^(n-1)], and when it does, the two slopes bound it from below.
Buckets that this cannot rule out, mostly one per n, stay open (`open_buckets`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.with_replacement.buckets import EDGE_SLACK, Buckets
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.slope_bound import lowest_between
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray, IntArray

SEARCH_TOLERANCE = 4e-16
"""A range of tokens is passed over when it cannot beat the best value by more than this: two units
of rounding of a value near 1. Less, and ties are looked at token by token; more, and the error
bound grows. The other laws search other bounds, with tolerances of their own."""

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


class Minimum(NamedTuple):
    """Best prefix so far: value p - q^n, its two masses and its size."""

    value: float
    target: float
    draft: float
    tokens: int


@kernel
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

    Example:
        >>> from mdbound.bounds.laws.with_replacement import buckets as filled
        >>> p, q, buckets = np.array([0.5, 0.5]), np.array([0.25, 0.75]), filled.new_buckets(2)
        >>> filled.fill_from_probabilities(p, q, -9.0, 1, False, buckets)
        >>> prefixes, _ = bucket_prefixes(buckets, False)
        >>> np.unique(prefixes.draft).tolist()
        [0.0, 0.75, 1.0]
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


@kernel
def _prefix_masses(
    masses: FloatArray, tokens: IntArray, total: float, prefixes: FloatArray
) -> float:
    """Sums up to the most crowded bucket from the front, the others from the total back.

    Plain sums inside a group, a compensated one over groups.
    """
    bins = len(masses)
    crowded, crowd = _crowded(masses, tokens)
    prefixes[0] = 0.0
    base = lost = 0.0
    for first in range(0, crowded, GROUP):
        partial = 0.0
        for b in range(first, min(first + GROUP, crowded)):
            partial += masses[b]
            prefixes[b + 1] = base + (partial + lost)
        base, lost = compensated_add(base, lost, partial)
    base = lost = 0.0
    prefixes[bins] = total
    for last in range(bins - 1, crowded, -GROUP):
        partial = 0.0
        for b in range(last, max(last - GROUP, crowded), -1):
            partial += masses[b]
            prefixes[b] = total - (base + (partial + lost))
        base, lost = compensated_add(base, lost, partial)
    return crowd / total


@kernel(fastmath={"nnan", "nsz", "reassoc", "contract"})
def _crowded(masses: FloatArray, tokens: IntArray) -> tuple[int, float]:
    """The bucket of most tokens times mass, and the sum of that over all others."""
    most = crowd = 0.0
    for b in range(len(masses)):
        doubt = tokens[b] * masses[b]
        crowd += doubt
        most = max(most, doubt)
    crowded = 0
    while crowded < len(masses) - 1 and tokens[crowded] * masses[crowded] < most:
        crowded += 1
    return crowded, crowd - most


@kernel(fastmath={"nnan", "nsz", "reassoc", "contract"})
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


# Long: one pass over groups and, inside the few that may matter, their buckets.
@kernel
def edge_minimum(
    prefixes: Prefixes,
    num_drafts: int,
    power: FloatArray,
    objective: FloatArray,
    found: Minimum,
    open_buckets: IntArray,
) -> tuple[Minimum, int]:
    """Best prefix that ends at an edge, unless one found before is as good; buckets left open.

    Args:
        prefixes: at the bucket edges.
        num_drafts: n.
        power: q^(n-1) at the edges.
        objective: scratch of the same length.
        found: the best prefix so far.
        open_buckets: filled with the buckets that may hold a smaller value inside.

    Returns:
        The best prefix (of several at edges the smallest), and how many buckets are open.
    """
    least_of = np.empty((len(power) + GROUP - 1) // GROUP)
    best = _put_objective(prefixes.target, prefixes.draft, power, objective, least_of)
    if best < found.value - SEARCH_TOLERANCE:
        place = _first_edge(objective, least_of, best + SEARCH_TOLERANCE)
        found = Minimum(best, prefixes.target[place], prefixes.draft[place], prefixes.tokens[place])
    bins = len(power) - 1
    edges = prefixes.edges
    open_count = 0
    for first in range(0, bins, GROUP):
        last = min(first + GROUP, bins)
        fall = num_drafts * power[last] - edges[first] * (1.0 - EDGE_SLACK)
        rise = edges[last] * (1.0 + EDGE_SLACK) - num_drafts * power[first]
        span = prefixes.draft[last] - prefixes.draft[first]
        bound = lowest_between(objective[first], objective[last], span, fall, rise)
        if bound >= found.value - SEARCH_TOLERANCE:
            continue
        for b in range(first, last):
            fall = num_drafts * power[b + 1] - edges[b] * (1.0 - EDGE_SLACK)
            rise = edges[b + 1] * (1.0 + EDGE_SLACK) - num_drafts * power[b]
            if fall <= 0.0 or rise <= 0.0 or prefixes.tokens[b + 1] - prefixes.tokens[b] < 2:
                continue
            span = prefixes.draft[b + 1] - prefixes.draft[b]
            bound = lowest_between(objective[b], objective[b + 1], span, fall, rise)
            if num_drafts > 1:
                # At a minimum inside n Q^(n-1) is at most the largest ratio.
                largest = edges[b + 1] * (1.0 + EDGE_SLACK) / num_drafts
                if largest < power[b + 1]:
                    least = prefixes.target[b] - largest ** (num_drafts / (num_drafts - 1.0))
                    bound = max(bound, least)
            if bound < found.value - SEARCH_TOLERANCE:
                open_buckets[open_count] = b
                open_count += 1
    return found, open_count


@kernel
def put_minimum(minimum: Minimum, place: FloatArray) -> None:
    """Write a minimum to four numbers."""
    place[0], place[1], place[2] = minimum.value, minimum.target, minimum.draft
    place[3] = minimum.tokens


@kernel
def minimum_at(place: FloatArray) -> Minimum:
    """What `put_minimum` has written."""
    return Minimum(place[0], place[1], place[2], int(place[3]))


@kernel
def _first_edge(objective: FloatArray, least_of: FloatArray, threshold: float) -> int:
    """The first edge whose objective is not above the threshold."""
    group = 0
    while least_of[group] > threshold:
        group += 1
    place = group * GROUP
    while objective[place] > threshold:
        place += 1
    return place


@kernel
def search_edges(prefixes: Prefixes, max_drafts: int) -> tuple[FloatArray, IntArray]:
    """Best prefix at an edge for n = 1..max_drafts, and what is left to look at.

    Returns:
        The best prefixes, and the pairs of n and a bucket that may hold a better one, shape
        (pairs, 2).

    Example:
        >>> tokens, edges = np.array([0, 1, 2]), np.array([0.0, 1.0, 2.0])
        >>> target, draft = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.75, 1.0])
        >>> minima, left = search_edges(Prefixes(target, draft, tokens, edges), 1)
        >>> float(minima[0, 0]), int(minima[0, 3]), len(left)
        (-0.25, 1, 0)
    """
    edges = len(prefixes.target)
    power = np.ones(edges)
    objective = np.empty(edges)
    found_open = np.empty((max_drafts, edges), dtype=np.int64)
    counts = np.empty(max_drafts, dtype=np.int64)
    minima = np.empty((max_drafts, 4))
    empty = Minimum(0.0, 0.0, 0.0, 0)
    for n in range(1, max_drafts + 1):
        minimum, counts[n - 1] = edge_minimum(
            prefixes, n, power, objective, empty, found_open[n - 1]
        )
        put_minimum(minimum, minima[n - 1])
        power *= prefixes.draft
    total = 0
    for n in range(max_drafts):
        total += counts[n]
    open_pairs = np.empty((total, 2), dtype=np.int64)
    pair = 0
    for n in range(1, max_drafts + 1):
        for k in range(counts[n - 1]):
            open_pairs[pair, 0] = n
            open_pairs[pair, 1] = found_open[n - 1, k]
            pair += 1
    return minima, open_pairs
