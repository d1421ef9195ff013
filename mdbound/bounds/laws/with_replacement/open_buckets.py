"""Inside the buckets that may hold a minimum: divided once more, then token by token.

The tokens of an open bucket are divided into `PARTS` of p/q and their masses summed, which
leaves a few tokens per n to put in order (`segment_search`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.with_replacement.buckets import LARGEST_RATIO, BucketIndex, Buckets
from mdbound.bounds.laws.with_replacement.edges import (
    Prefixes,
    edge_minimum,
    minimum_at,
    put_minimum,
)
from mdbound.bounds.laws.with_replacement.segment_search import Segment, search_segment
from mdbound.bounds.numerics.cell_sums import LANES, add_to_cell
from mdbound.bounds.numerics.compiled.array_loops import copy
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.flagged import put_flagged
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray, IntArray

TokenIds = npt.NDArray[np.int32]

PARTS = 16
"""Into so many parts an open bucket is divided."""

FLAGS = 4096
"""Tokens whose buckets are compared at a time; their flags stay in the first cache."""

PLAIN_SUM = 256
"""So many tokens are summed plainly, then compensated."""


class OpenTokens(NamedTuple):
    """The tokens of open buckets.

    Attributes:
        ids: token ids, ascending, shape (T,).
        rank: which of the open buckets a token is in, shape (T,).
        rank_of: which open bucket a bucket is, -1 for others, shape (buckets,).
        buckets: the open buckets.
    """

    ids: TokenIds
    rank: TokenIds
    rank_of: IntArray
    buckets: IntArray


class Parts(NamedTuple):
    """Open buckets divided.

    Attributes:
        part: rank * `PARTS` + part of each token, shape (T,).
        ratio: p/q of each token.
        target: p of the prefixes that end at the edges of parts, shape (open, PARTS + 1).
        draft: q of these.
        tokens: tokens of these.
        edges: ratio p/q at the edges.
    """

    part: TokenIds
    ratio: FloatArray
    target: FloatArray
    draft: FloatArray
    tokens: IntArray
    edges: FloatArray


@kernel
def open_tokens(buckets: Buckets, open_pairs: IntArray) -> OpenTokens:
    """Find the tokens of open buckets.

    Args:
        buckets: filled.
        open_pairs: (n, bucket) as from `search_edges`, shape (pairs, 2); a bucket may occur for
            several n.
    """
    rank_of = np.empty(len(buckets.tokens), dtype=np.int64)
    rank_of[:] = -1
    count = 0
    for pair in range(len(open_pairs)):
        b = open_pairs[pair, 1]
        count += 1 if rank_of[b] < 0 else 0
        rank_of[b] = 0
    opened = np.empty(count, dtype=np.int64)
    count = total = 0
    for b in range(len(rank_of)):
        if rank_of[b] == 0:
            opened[count] = b
            rank_of[b] = count
            count += 1
            total += buckets.tokens[b]
    ids = np.empty(total + 1, dtype=np.int32)
    if total > 0:
        _put_ids(buckets.bucket_of, _runs(opened), ids)
    rank = np.empty(total, dtype=np.int32)
    for i in range(total):
        rank[i] = rank_of[buckets.bucket_of[ids[i]]]
    return OpenTokens(ids[:total], rank, rank_of, opened)


@kernel
def _runs(opened: IntArray) -> npt.NDArray[np.uint16]:
    """Runs of neighbours among ascending numbers: the first of each, and how many follow it."""
    runs = np.empty((len(opened), 2), dtype=np.uint16)
    count = 0
    for k in range(len(opened)):
        if k > 0 and opened[k] == opened[k - 1] + 1:
            runs[count - 1, 1] += 1
        else:
            runs[count, 0] = opened[k]
            runs[count, 1] = 0
            count += 1
    return runs[:count]


@kernel
def _put_ids(bucket_of: BucketIndex, runs: npt.NDArray[np.uint16], ids: TokenIds) -> None:
    """Write the ids of all tokens whose bucket lies in one of the runs, without a branch per token.

    Whole vectors of tokens are compared with a run at once.

    Args:
        bucket_of: shape (V,).
        runs: first bucket of each, and how many follow.
        ids: room for one more than there are.
    """
    flags = np.empty(FLAGS, dtype=np.uint8)
    some = np.empty(FLAGS // 8 + 1, dtype=np.int32)
    count = 0
    for start in range(0, len(bucket_of), FLAGS):
        block = bucket_of[start : start + FLAGS]
        flags[:] = 0
        for run in range(len(runs)):
            first, more = runs[run, 0], runs[run, 1]
            for j in range(len(block)):
                flags[j] |= np.uint8(np.uint16(block[j] - first) <= more)
        count = put_flagged(flags, start, ids, count, some)


@kernel
def divide(
    tokens: OpenTokens,
    open_pairs: IntArray,
    target: FloatArray,
    draft: FloatArray,
    prefixes: Prefixes,
) -> tuple[Parts, float]:
    """Divide the open buckets evenly where their ratios are slopes of q(H)^n inside them.

    Args:
        tokens: of the open buckets.
        open_pairs: (n, bucket) to look at.
        target: p of these tokens, shape (T,).
        draft: q of these.
        prefixes: at the edges of all buckets.

    Returns:
        The parts, and the rounding of their plain sums in unit roundoffs.
    """
    opened = len(tokens.buckets)
    ratio = _ratios(target, draft)
    edges = np.empty((opened, PARTS + 1))
    part = _place_in_parts(tokens, ratio, *_part_scales(tokens, open_pairs, prefixes, edges))
    sums = _part_sums(part, target, draft, opened * PARTS)
    parts = Parts(
        part,
        ratio,
        np.empty((opened, PARTS + 1)),
        np.empty((opened, PARTS + 1)),
        np.empty((opened, PARTS + 1), dtype=np.int64),
        edges,
    )
    rounding = 0.0
    for rank in range(opened):
        b = tokens.buckets[rank]
        p, q, size = prefixes.target[b], prefixes.draft[b], prefixes.tokens[b]
        of_bucket = 0.0
        for k in range(PARTS):
            parts.target[rank, k], parts.draft[rank, k], parts.tokens[rank, k] = p, q, size
            place = rank * PARTS + k
            p_part, q_part, in_part = sums[place, 0], sums[place, 1], sums[place, 2]
            of_bucket += min(in_part, PLAIN_SUM) * max(p_part, q_part)
            p += p_part
            q += q_part
            size += int(in_part)
        # The end is that of the bucket, as the other sums have it.
        parts.target[rank, PARTS] = prefixes.target[b + 1]
        parts.draft[rank, PARTS] = prefixes.draft[b + 1]
        parts.tokens[rank, PARTS] = size
        rounding = max(rounding, of_bucket)
    return parts, rounding


@kernel
def _ratios(target: FloatArray, draft: FloatArray) -> FloatArray:
    ratio = np.empty(len(target))
    for i in range(len(ratio)):
        quotient = target[i] / draft[i]
        # Not a number where both are 0.
        ratio[i] = quotient if quotient < LARGEST_RATIO else LARGEST_RATIO
    return ratio


@kernel
def _part_scales(
    tokens: OpenTokens,
    open_pairs: IntArray,
    prefixes: Prefixes,
    edges: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Fill the edges of each bucket's parts; where the parts begin, and parts per unit of ratio.

    A minimum lies where p/q meets the slope n Q^(n-1). The first and the last part take what
    lies below and above all slopes that occur in the bucket.
    """
    opened = len(edges)
    low, high = np.empty(opened), np.zeros(opened)
    low[:] = LARGEST_RATIO
    for pair in range(len(open_pairs)):
        n, b = open_pairs[pair, 0], open_pairs[pair, 1]
        rank = tokens.rank_of[b]
        low[rank] = min(low[rank], n * prefixes.draft[b] ** (n - 1))
        high[rank] = max(high[rank], n * prefixes.draft[b + 1] ** (n - 1))
    scale = np.zeros(opened)
    for rank in range(opened):
        b = tokens.buckets[rank]
        least, most = prefixes.edges[b], prefixes.edges[b + 1]
        low[rank] = max(low[rank], least)
        width = (min(high[rank], most) - low[rank]) / (PARTS - 2)
        edges[rank, :] = most
        edges[rank, 0] = least
        if width > 1e-12 * most:
            scale[rank] = 1.0 / width
            for k in range(1, PARTS):
                edges[rank, k] = low[rank] + (k - 1) * width
            low[rank] -= width
    return low, scale


@kernel
def _place_in_parts(
    tokens: OpenTokens, ratio: FloatArray, low: FloatArray, scale: FloatArray
) -> TokenIds:
    part = np.empty(len(ratio), dtype=np.int32)
    for i in range(len(ratio)):
        rank = tokens.rank[i]
        place = min(max((ratio[i] - low[rank]) * scale[rank], 0.0), PARTS - 1.0)
        part[i] = np.int32(rank * PARTS + np.int32(place))
    return part


@kernel
def _part_sums(part: TokenIds, target: FloatArray, draft: FloatArray, count: int) -> FloatArray:
    """p, q and number of tokens of every part, shape (count, 3)."""
    sums = np.zeros((count, 3))
    lost = np.zeros((count, 2))
    cells = np.zeros(count * LANES)
    for start in range(0, len(part), PLAIN_SUM):
        for i in range(start, min(start + PLAIN_SUM, len(part))):
            add_to_cell(cells, np.uintp(part[i]), target[i], draft[i])
        for k in range(count):
            p, q = cells[k * LANES], cells[k * LANES + 1]
            sums[k, 0], lost[k, 0] = compensated_add(sums[k, 0], lost[k, 0], p)
            sums[k, 1], lost[k, 1] = compensated_add(sums[k, 1], lost[k, 1], q)
            sums[k, 2] += cells[k * LANES + 2]
        cells[:] = 0.0
    for k in range(count):
        sums[k, 0] += lost[k, 0]
        sums[k, 1] += lost[k, 1]
    return sums


@kernel
def search_tokens(
    tokens: OpenTokens,
    parts: Parts,
    open_pairs: IntArray,
    target: FloatArray,
    draft: FloatArray,
    minima: FloatArray,
) -> FloatArray:
    """Improve each n's best prefix with those that end inside its open buckets.

    Args:
        tokens: of the open buckets.
        parts: the same divided.
        open_pairs: (n, bucket) to look at.
        target: p of the tokens.
        draft: q of the tokens.
        minima: the best prefixes so far for n = 1, 2, ...; updated and returned.
    """
    power, objective = np.empty(PARTS + 1), np.empty(PARTS + 1)
    found_open = np.empty(PARTS, dtype=np.int64)
    open_parts = np.empty((len(open_pairs) * PARTS, 3), dtype=np.int64)
    parts_open = 0
    for pair in range(len(open_pairs)):
        n, b = open_pairs[pair, 0], open_pairs[pair, 1]
        rank = tokens.rank_of[b]
        inside = Prefixes(
            parts.target[rank], parts.draft[rank], parts.tokens[rank], parts.edges[rank]
        )
        power[:] = 1.0
        for _ in range(n - 1):
            power *= inside.draft
        best = minimum_at(minima[n - 1])
        best, count = edge_minimum(inside, n, power, objective, best, found_open)
        put_minimum(best, minima[n - 1])
        for i in range(count):
            open_parts[parts_open, 0] = n
            open_parts[parts_open, 1] = rank
            open_parts[parts_open, 2] = found_open[i]
            parts_open += 1
    if parts_open == 0:
        return minima
    return _search_parts(parts, open_parts[:parts_open], target, draft, minima)


# Long: tokens of open parts are gathered, then searched; where each begins serves both.
@kernel
def _search_parts(
    parts: Parts,
    open_parts: IntArray,
    target: FloatArray,
    draft: FloatArray,
    minima: FloatArray,
) -> FloatArray:
    """Look at the tokens of open parts, (n, rank, part) each."""
    start = np.empty(len(parts.target) * PARTS, dtype=np.int64)
    start[:] = -1
    total = 0
    for opened in range(len(open_parts)):
        rank, k = open_parts[opened, 1], open_parts[opened, 2]
        if start[rank * PARTS + k] < 0:
            start[rank * PARTS + k] = total
            total += parts.tokens[rank, k + 1] - parts.tokens[rank, k]
    segment = np.empty((3, total))
    place = np.empty(len(start), dtype=np.int64)
    copy(start, place)
    for i in range(len(parts.part)):
        part = parts.part[i]
        if place[part] >= 0:
            segment[0, place[part]] = target[i]
            segment[1, place[part]] = draft[i]
            segment[2, place[part]] = parts.ratio[i]
            place[part] += 1
    for opened in range(len(open_parts)):
        n, rank, k = open_parts[opened, 0], open_parts[opened, 1], open_parts[opened, 2]
        first = start[rank * PARTS + k]
        inside = slice(first, first + parts.tokens[rank, k + 1] - parts.tokens[rank, k])
        best = search_segment(
            Segment(
                segment[0, inside],
                segment[1, inside],
                segment[2, inside],
                parts.target[rank, k],
                parts.draft[rank, k],
                parts.tokens[rank, k],
            ),
            n,
            minimum_at(minima[n - 1]),
        )
        put_minimum(best, minima[n - 1])
    return minima
