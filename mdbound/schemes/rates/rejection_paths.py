"""Rejection paths of recursive rejection sampling over drafts without replacement.

After rejecting the tokens S the proposal is q outside S, scaled by c = 1 / (1 - q(S)), and the
residual is max(p - a q, 0) / Z(a) for a scalar a that depends on the order of the rejections: one
more rejection takes a to a + c Z(a). A token x is drafted and rejected with probability
W(x) = min(c q, ((a + c Z(a)) q - p) / Z(a)), or 0 where that is negative. The W of a stage sum to
Z(a + c Z(a)) / Z(a), so that along a path drawn in proportion to W the probability of rejecting
all drafts is the mean of Z at the end of the path.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.numerics.summation import prefix_sums
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.rates.sorted_residual import SortedResidual, residual_at, search_ratio

Ranks = npt.NDArray[np.int64]


@kernel
def heavy_first(q: FloatArray, count: int) -> tuple[Ranks, float]:
    """Positions of the `count` largest entries, and the sum of all the others.

    Example:
        >>> heavy_first(np.array([0.25, 0.5, 0.25]), 1)
        (array([1]), 0.5)
    """
    heavy = most_likely_tokens(q, count)
    rest = q.copy()
    rest[heavy] = 0.0
    return heavy, prefix_sums(rest)[-1]


@kernel
def _contains(ranks: Ranks, depth: int, x: int) -> bool:
    found = False
    for k in range(depth):
        found = found or ranks[k] == x
    return found


@kernel
def mass_outside(
    q: FloatArray, rejected: Ranks, depth: int, heavy: Ranks, light_mass: float
) -> float:
    """1 - q(rejected[:depth]), summed over what is left.

    With more heavy entries than rejections one heavy entry is always left and outweighs what is
    subtracted, so the result keeps its relative precision however close q(rejected) is to 1.

    Example:
        >>> q = np.array([0.25, 0.5, 0.25])
        >>> mass_outside(q, np.array([1]), 1, np.array([1, 0]), 0.25)
        0.5
    """
    left = light_mass
    for x in heavy:
        if not _contains(rejected, depth, x):
            left += q[x]
    for k in range(depth):
        if not _contains(heavy, len(heavy), rejected[k]):
            left -= q[rejected[k]]
    return max(left, 0.0)


@kernel
def _enter(
    row: SortedResidual,
    heavy: Ranks,
    light_mass: float,
    rejected: Ranks,
    depth: int,
    stage: FloatArray,
    totals: FloatArray,
) -> bool:
    # stage[depth] holds (a, z, weight of the path), and receives (a after, z after, 1 - q(path)),
    # and in its last column the rank at which z was found, a hint for the next search.
    # Adds P(this path is rejected, then one more draft) to totals; True where paths go on.
    a, z, weight = stage[depth, 0], stage[depth, 1], stage[depth, 2]
    left = mass_outside(row.q, rejected, depth, heavy, light_mass)
    if left <= 0.0:
        # The support is exhausted: there is no further draft, what is rejected stays so.
        totals[depth:] += weight
        return False
    a_next = a + z / left
    z_next, rank = residual_at(row, a_next, int(stage[depth, 6]))
    totals[depth] += weight * z_next / z
    stage[depth, 3], stage[depth, 4], stage[depth, 5], stage[depth, 6] = a_next, z_next, left, rank
    return depth + 1 < len(totals) and z_next > 0.0


@kernel
def _next_rejected(
    row: SortedResidual, rejected: Ranks, depth: int, stage: FloatArray, start: int
) -> tuple[int, float]:
    # The first rank from `start` on that can be drafted and rejected, and its W; or (-1, 0).
    z, a_next, left = stage[depth, 1], stage[depth, 3], stage[depth, 5]
    for x in range(start, len(row.q)):
        if row.ratio[x] >= a_next:
            break
        if not _contains(rejected, depth, x):
            w = min(row.q[x] / left, (a_next * row.q[x] - row.p[x]) / z)
            if w > 0.0:
                return x, w
    return -1, 0.0


@kernel
def _last_stage(
    row: SortedResidual,
    heavy: Ranks,
    light_mass: float,
    rejected: Ranks,
    depth: int,
    stage: FloatArray,
) -> float:
    # P(this path and one more draft are rejected, and the last draft too). The inner loop of the
    # walk: arrays are bound to names, because passing the row along costs more than the search.
    ratio, p, q, p_after, q_after = row.ratio, row.p, row.q, row.p_after, row.q_after
    z, weight, a_next = stage[depth, 1], stage[depth, 2], stage[depth, 3]
    z_next, left = stage[depth, 4], stage[depth, 5]
    rank = int(stage[depth, 6])
    end = rank
    total = 0.0
    for x in range(end):
        w = min(q[x] / left, (a_next * q[x] - p[x]) / z)
        if w <= 0.0 or _contains(rejected, depth, x):
            continue
        # A difference is exact enough until the token is most of what is left.
        left_after = left - q[x]
        if q[x] >= 0.5 * left:
            rejected[depth] = x
            left_after = mass_outside(q, rejected, depth + 1, heavy, light_mass)
        if left_after <= 0.0:
            total += w
            continue
        a_last = a_next + z_next / left_after
        rank = search_ratio(ratio, a_last, rank)
        z_last = p_after[rank]
        if q_after[rank] > 0.0:
            z_last = max(z_last - a_last * q_after[rank], 0.0)
        total += w * (z_last / z_next)
    result: float = weight * total
    return result


@kernel
def all_rejected(row: SortedResidual, max_drafts: int) -> FloatArray:
    """P(the first 1, ..., max_drafts drafts are all rejected), over every path of rejections.

    The cost is K S^(n-2) log S for n drafts, K tokens with q > p and S tokens with q > 0. The
    depth-first walk keeps its own stack.

    Example:
        >>> from mdbound.schemes.rates.sorted_residual import sort_residual
        >>> row = sort_residual(np.array([0.75, 0.25]), np.array([0.25, 0.75]))
        >>> all_rejected(row, 2).tolist()
        [0.5, 0.0]
    """
    totals = np.zeros(max_drafts)
    heavy, light_mass = heavy_first(row.q, max_drafts)
    rejected = np.zeros(max_drafts, dtype=np.int64)
    start = np.zeros(max_drafts, dtype=np.int64)
    stage = np.zeros((max_drafts, 7))
    stage[0, 1] = stage[0, 2] = 1.0
    depth = 0 if _enter(row, heavy, light_mass, rejected, 0, stage, totals) else -1
    while depth >= 0:
        if depth + 2 == max_drafts:
            totals[-1] += _last_stage(row, heavy, light_mass, rejected, depth, stage)
            depth -= 1
            continue
        x, w = _next_rejected(row, rejected, depth, stage, start[depth])
        if x < 0:
            depth -= 1
            continue
        rejected[depth] = x
        start[depth] = x + 1
        child = depth + 1
        stage[child, 0], stage[child, 1] = stage[depth, 3], stage[depth, 4]
        stage[child, 2], stage[child, 6] = stage[depth, 2] * w, stage[depth, 6]
        start[child] = 0
        if _enter(row, heavy, light_mass, rejected, child, stage, totals):
            depth = child
    return totals


@kernel
def _rejected_before(
    row: SortedResidual,
    rejected: Ranks,
    depth: int,
    whole_end: int,
    level: tuple[float, float, float],
    k: int,
) -> float:
    # Sum of W over the first k ranks: q / left below `whole_end`, linear in q and p above.
    a_next, z, left = level
    middle = min(whole_end, k)
    whole: float = row.q_before[middle]
    partial_q = row.q_before[k] - row.q_before[middle]
    partial_p = row.p_before[k] - row.p_before[middle]
    for i in range(depth):
        x = rejected[i]
        if x < middle:
            whole -= row.q[x]
        elif x < k:
            partial_q -= row.q[x]
            partial_p -= row.p[x]
    upper: float = max(a_next * partial_q - partial_p, 0.0) / z
    return max(whole, 0.0) / left + upper


@kernel
def _draw_rejected(
    row: SortedResidual,
    rejected: Ranks,
    depth: int,
    ends: tuple[int, int],
    level: tuple[float, float, float],
    uniform: float,
) -> int:
    # ends: how many ranks have ratio up to a, and up to a_next; only the latter can be rejected.
    goal = uniform * _rejected_before(row, rejected, depth, ends[0], level, ends[1])
    low, high = 0, max(ends[1] - 1, 0)
    while low < high:
        middle = (low + high) // 2
        if _rejected_before(row, rejected, depth, ends[0], level, middle + 1) > goal:
            high = middle
        else:
            low = middle + 1
    # Rounding may land on a token already rejected: its own weight is zero, take a neighbour.
    return _nearest_unrejected(rejected, depth, low, len(row.q))


@kernel
def _nearest_unrejected(rejected: Ranks, depth: int, start: int, size: int) -> int:
    for distance in range(size):
        for x in (start - distance, start + distance):
            if 0 <= x < size and not _contains(rejected, depth, x):
                return x
    return -1


@kernel
def sampled_paths(row: SortedResidual, max_drafts: int, uniforms: FloatArray) -> FloatArray:
    """Unbiased estimates of P(the first n drafts are all rejected) along random paths.

    Args:
        row: one sorted row.
        max_drafts: N.
        uniforms: (paths, N - 1) numbers in [0, 1).

    Returns:
        (paths, N): the estimate of each path for n = 1, ..., N. The first column is exact.

    Example:
        >>> from mdbound.schemes.rates.sorted_residual import sort_residual
        >>> row = sort_residual(np.array([0.75, 0.25]), np.array([0.25, 0.75]))
        >>> sampled_paths(row, 2, np.array([[0.3]])).tolist()
        [[0.5, 0.0]]
    """
    heavy, light_mass = heavy_first(row.q, max_drafts)
    estimates = np.zeros((len(uniforms), max_drafts))
    rejected = np.empty(max_drafts, dtype=np.int64)
    for path in range(len(uniforms)):
        a, z, end = 0.0, 1.0, search_ratio(row.ratio, 0.0, 0)
        for depth in range(max_drafts):
            left = mass_outside(row.q, rejected, depth, heavy, light_mass)
            if left <= 0.0:
                estimates[path, depth:] = z
                break
            a_next = a + z / left
            z_next, end_next = residual_at(row, a_next, end)
            estimates[path, depth] = z_next
            if depth + 1 == max_drafts or z_next <= 0.0:
                break
            ends = (end, end_next)
            level = (a_next, z, left)
            rejected[depth] = _draw_rejected(
                row, rejected, depth, ends, level, uniforms[path, depth]
            )
            a, z, end = a_next, z_next, end_next
    return estimates
