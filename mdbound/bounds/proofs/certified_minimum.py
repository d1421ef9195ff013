"""Proven lower bounds on p(H) - F(H) over all sets H, where no exact prefix formula exists.

Draws without replacement, n >= 3: every prefix has an enclosure of F, at a cost; two convex chains
bound the prefixes between two enclosed ones. Independent drafts: boxes around the masses q_k(H),
contracted by what an optimal set must contain, and bounded by a plane above the product.
"""

from __future__ import annotations

import heapq
import itertools
import math
from fractions import Fraction

import numpy as np

from mdbound.bounds.problem.array_types import BoolArray, FloatArray
from mdbound.bounds.proofs.ball_containment import BallContainment
from mdbound.bounds.proofs.exact_arithmetic import dyadic, exact_ratio_order, total
from mdbound.errors import UnsolvedError

TOLERANCE = Fraction(1, 10**13)
"""Ranges and boxes are left alone when they cannot beat the best set by more than this, which is
how far below the least value a proof may end. Less costs enclosures and boxes."""

MAX_ENCLOSURES = 2_000
"""Enclosures before a proof is given up: usual rows take ten to twenty, at some 40 ms each for
50,000 tokens. More would prove rows that now raise, after minutes."""

MAX_BOXES = 20_000
"""Boxes before a proof is given up: usual rows take three to twenty, at some 60 ms each for 50,000
tokens. More would prove rows that now raise, after half an hour."""

FEW_OPEN = 6
"""So few open tokens of a box are tried out one set after the other, 64 of them in fractions; one
more doubles that, one less splits boxes instead."""

MARGIN = 2.0**-47
"""Relative safety of rounded comparisons of a token's p with its sum of w_k q_k: the products and
sums of up to 16 drafts are within 40 unit roundoffs."""

SUM_MARGIN = 2.0**-47
"""Relative safety of numpy's pairwise sum: 64 unit roundoffs, where a billion tokens make 42. More
of it keeps boxes wider than they need be."""


def least_without_replacement(target: FloatArray, draft: FloatArray, num_drafts: int) -> Fraction:
    """Lower bound on p(H) - F_n(H) over all sets, within `TOLERANCE` and rounding of the least.

    Along any order the increments of F divided by q never fall, so F is a convex chain over the
    prefix masses Q_k, the least value over all sets is at a prefix of the ratio order, and there
    the prefix masses P_k form a convex chain, too. Between two enclosed prefixes F lies below its
    chord and P above its two end slopes.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,).
        num_drafts: n, at least 3 and below the number of tokens that can be drafted.

    Raises:
        MissingDependencyError: python-flint is not installed.
        UnsolvedError: `MAX_ENCLOSURES` did not suffice.

    Example:
        >>> p, q = np.array([0.125, 0.125, 0.25, 0.5]), np.full(4, 0.25)
        >>> round(float(least_without_replacement(p, q[::-1], 3)), 9)
        0.0
        >>> p = np.array([0.0625, 0.0625, 0.0625, 0.8125])
        >>> round(float(least_without_replacement(p, q, 3)), 9)
        -0.0625
    """
    order = exact_ratio_order(target, draft)
    chain = _PrefixChain(target[order], draft[order], num_drafts)
    best = min(chain.value(0), chain.value(len(order)))
    ranges = [(chain.between(0, len(order)), 0, len(order))]
    lowest = best
    while ranges:
        bound, a, b = heapq.heappop(ranges)
        if bound[0] >= best - TOLERANCE:
            lowest = min(lowest, bound[0])
            break
        if len(chain.known) > MAX_ENCLOSURES:
            raise UnsolvedError(
                f"the certificate needs more than {MAX_ENCLOSURES} enclosures: proven down to "
                f"{float(1 + bound[0])!r} only"
            )
        middle = chain.split(a, b, bound[1])
        best = min(best, chain.value(middle))
        for left, right in ((a, middle), (middle, b)):
            if right - left > 1:
                heapq.heappush(ranges, (chain.between(left, right), left, right))
    return min(lowest, best)


class _PrefixChain:
    """Prefixes in exact ratio order: exact masses, enclosed containments, bounds between them."""

    def __init__(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> None:
        self.balls = BallContainment(draft, num_drafts)
        p, exponent = dyadic(target)
        self.p_prefix = [Fraction(m, 1 << exponent) for m in itertools.accumulate(p, initial=0)]
        q, exponent = dyadic(draft)
        self.q_prefix = [Fraction(m, 1 << exponent) for m in itertools.accumulate(q, initial=0)]
        self.q_rounded = np.array([float(m) for m in self.q_prefix])
        self.known: dict[int, Fraction] = {}

    def contained(self, k: int) -> Fraction:
        """Upper bound of F of the first k tokens."""
        if k not in self.known:
            self.known[k] = self.balls.enclose(slice(0, k))[1]
        return self.known[k]

    def value(self, k: int) -> Fraction:
        """Lower bound of P_k - F_k."""
        return self.p_prefix[k] - self.contained(k)

    def _ratio(self, k: int) -> Fraction:
        p, q = self.p_prefix, self.q_prefix
        return (p[k + 1] - p[k]) / (q[k + 1] - q[k])

    def between(self, a: int, b: int) -> tuple[Fraction, float]:
        """Lower bound of P_k - F_k for a < k < b, and at which share of the mass it is attained."""
        span = self.q_prefix[b] - self.q_prefix[a]
        chord = (self.contained(b) - self.contained(a)) / span
        rise = self._ratio(a) - chord
        fall = self._ratio(b - 1) - chord
        if rise >= 0:
            return self.value(a), 0.5
        if fall <= 0:
            return self.value(b), 0.5
        # The lines from both ends, of slopes rise < 0 and fall > 0, cross at this share.
        share = (self.value(b) - self.value(a) - fall * span) / ((rise - fall) * span)
        share = min(max(share, Fraction(0)), Fraction(1))
        left = self.value(a) + rise * span * share
        right = self.value(b) - fall * span * (1 - share)
        return max(left, right), float(share)

    def split(self, a: int, b: int, share: float) -> int:
        """A prefix strictly between, near the given share of the mass."""
        share = min(max(share, 0.02), 0.98)
        aim = self.q_rounded[a] + share * (self.q_rounded[b] - self.q_rounded[a])
        middle = int(np.searchsorted(self.q_rounded, aim))
        # A jump of one heavy token may leave no prefix near the aim: never less than 1 in 50.
        least = max(1, (b - a) // 50)
        return min(max(middle, a + least), b - least)


def least_independent(target: FloatArray, drafts: FloatArray, known: Fraction) -> Fraction:
    """Lower bound on p(H) - q_1(H) ... q_K(H) over all sets, within `TOLERANCE` of the least.

    At an optimal set, x_k = q_k(H) and w_k the product of the other x_j: a token with p below
    sum of w_k q_k is in H, one with p above is not. Over a box of x this forces tokens, forced
    tokens shrink the box, and what stays open is bounded by a plane above the product.

    Args:
        target: p, shape (V,).
        drafts: q_1, ..., q_K, shape (K, V).
        known: exact value at a known set, at least the least value.

    Raises:
        UnsolvedError: `MAX_BOXES` did not suffice.

    Example:
        >>> p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
        >>> float(least_independent(p, np.stack([q, q]), Fraction(-1, 16)))
        -0.0625
    """
    # A token that no draft can be only adds to p(H).
    drawn = (drafts > 0.0).any(axis=0)
    target, drafts = target[drawn], np.ascontiguousarray(drafts[:, drawn])
    masses = np.array([float(total(q)) for q in drafts])
    boxes = [(np.zeros(len(drafts)), masses * (1.0 + SUM_MARGIN))]
    best = min(known, Fraction(0))
    lowest = best
    for _ in range(MAX_BOXES):
        if not boxes:
            return lowest
        tokens = _contract(target, drafts, *boxes.pop())
        if tokens is None:
            continue
        certain, openly, low, high = tokens
        if openly.sum() <= FEW_OPEN:
            best = min(best, _least_of_few(target, drafts, certain, openly))
            lowest = min(lowest, best)
            continue
        bound, candidate = _box_bound(target, drafts, certain, openly, low, high)
        best = min(best, _value(target, drafts, candidate))
        if bound >= best - TOLERANCE:
            lowest = min(lowest, bound, best)
            continue
        side = int(np.argmax(high - low))
        middle = 0.5 * (low[side] + high[side])
        below, above = high.copy(), low.copy()
        below[side], above[side] = middle, middle
        boxes += [(low, below), (above, high)]
    raise UnsolvedError(f"the certificate needs more than {MAX_BOXES} boxes")


def _value(target: FloatArray, drafts: FloatArray, inside: BoolArray) -> Fraction:
    """Exact p(H) - prod q_k(H)."""
    return total(target[inside]) - math.prod((total(q[inside]) for q in drafts), start=Fraction(1))


def _least_of_few(
    target: FloatArray, drafts: FloatArray, certain: BoolArray, openly: BoolArray
) -> Fraction:
    """Exact least value over the sets that hold the certain tokens and any of a few open ones."""
    base = [total(row[certain]) for row in (target, *drafts)]
    tokens = [[Fraction(value) for value in row[openly].tolist()] for row in (target, *drafts)]
    values = []
    for chosen in itertools.product((0, 1), repeat=int(openly.sum())):
        p, *masses = (
            start + sum(itertools.compress(row, chosen))
            for start, row in zip(base, tokens, strict=True)
        )
        values.append(p - math.prod(masses, start=Fraction(1)))
    return min(values)


def _contract(
    target: FloatArray, drafts: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[BoolArray, BoolArray, FloatArray, FloatArray] | None:
    """Tokens certainly in H and open tokens of a box, and the box shrunk; None if it is empty."""
    size = len(low)
    while True:
        weights = np.array(
            [
                [math.prod(side[j] for j in range(size) if j != k) for k in range(size)]
                for side in (low, high)
            ]
        )
        # A token of p = 0 costs nothing and may only help.
        certain = (target < (weights[0] @ drafts) * (1.0 - MARGIN)) | (target == 0.0)
        excluded = target > (weights[1] @ drafts) * (1.0 + MARGIN)
        # Nor may it leave the box: too heavy to be left out, or to come in.
        left_out = _masses(drafts, ~excluded) * (1.0 + SUM_MARGIN) - low
        room = high - _masses(drafts, certain) * (1.0 - SUM_MARGIN)
        needed = (drafts > (left_out + SUM_MARGIN)[:, None]).any(axis=0) & ~excluded
        barred = (drafts > (room + SUM_MARGIN)[:, None]).any(axis=0) & ~certain
        if (needed & barred).any():
            return None
        certain |= needed
        excluded |= barred
        openly = ~certain & ~excluded
        shrunk_low = np.maximum(low, _masses(drafts, certain) * (1.0 - SUM_MARGIN))
        shrunk_high = np.minimum(high, _masses(drafts, ~excluded) * (1.0 + SUM_MARGIN))
        if (shrunk_low > shrunk_high).any():
            return None
        moved = max(float((shrunk_low - low).max()), float((high - shrunk_high).max()))
        low, high = shrunk_low, shrunk_high
        if moved <= 1e-3 * float((high - low).max()):
            return certain, openly, low, high


def _masses(drafts: FloatArray, inside: BoolArray) -> FloatArray:
    return np.array([q[inside].sum() for q in drafts])


def _box_bound(
    target: FloatArray,
    drafts: FloatArray,
    certain: BoolArray,
    openly: BoolArray,
    low: FloatArray,
    high: FloatArray,
) -> tuple[Fraction, BoolArray]:
    """Lower bound of p(H) - prod q_k(H) over sets of the box, exactly evaluated, and a good set.

    A plane c.x + d lies above the product on the box iff it does at the corners, where the
    difference, linear in every coordinate, has its extremes.
    """
    size = len(low)
    middle = 0.5 * (low + high)
    slopes = [math.prod(middle[j] for j in range(size) if j != k) for k in range(size)]
    exact = [Fraction(slope) for slope in slopes]
    corners = itertools.product(*zip(low.tolist(), high.tolist(), strict=True))
    offset = max(
        math.prod(map(Fraction, corner)) - sum(map(_product, exact, map(Fraction, corner)))
        for corner in corners
    )
    plane = np.array(slopes) @ drafts
    gain = target - plane
    taken = certain | (openly & (gain < 0.0))
    # Where rounding may hide the sign of a gain, it is below the margin: left out, and paid for.
    doubtful = openly & (np.abs(gain) <= MARGIN * (target + plane))
    settled = taken & ~doubtful
    value = total(target[settled])
    for slope, q in zip(exact, drafts, strict=True):
        value -= slope * total(q[settled])
    slack = Fraction(MARGIN) * 3 * total(target[doubtful])
    return value - slack - offset, taken


def _product(a: Fraction, b: Fraction) -> Fraction:
    return a * b
