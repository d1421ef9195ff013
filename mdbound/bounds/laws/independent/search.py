"""The best threshold set of independent drafts over a whole vocabulary, and a proof that it is.

A threshold set {p_i < w.q_i} whose weights w are the products of the other draft masses of that
very set is a candidate. It is looked for in a sample, then among the tokens near the sample's
threshold, all others taken as decided. `mean_bound` then shows that nothing better
is far away and that what was taken as decided is, and
`branch` settles the few tokens that are left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.independent.branch import contract_and_branch, set_value
from mdbound.bounds.laws.independent.contraction import MARGIN
from mdbound.bounds.laws.independent.mean_bound import (
    LEAST_PRODUCT,
    confine,
    feasible_range,
    safe_gaps,
    scales_around,
    shrink_box,
)
from mdbound.bounds.laws.independent.sample import Sample, sampled_masses_below, widest_bracket
from mdbound.bounds.laws.independent.undecided import (
    OpenTokens,
    bracket,
    leave_one_out_products,
    masses_below,
    product,
    weighted,
)
from mdbound.bounds.numerics.compiled.array_loops import least, most, nowhere_above, same, total
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.tolerances import BOX_TOLERANCE
from mdbound.bounds.problem.array_types import BoolArray, FloatArray

_START = 0.8
"""q_k(H) of the first guess: near what real rows have; any other costs a few steps more."""

_OTHER_STARTS = np.array([0.95, 0.6, 0.4, 0.25, 0.12])
"""q_k(H) of other guesses, where the first leaves much open: more find far sets more often, and
cost some steps in the sample each. Without them eight drafts take 1.2 times as long on peaked
rows at V = 32,000, and two or three the same."""

_SAMPLE_ERROR = 0.01
"""A guess is followed if the sample says that it is better by this, relatively: less follows noise,
more misses better sets."""

_MANY = 0.2
"""Of the tokens: with more of them open another guess costs less than the boxes around them."""

_SMALL = 8192
"""Vocabularies up to this size are looked at as a whole: guessing in a sample of them costs more
than it saves; larger ones take a pass over all tokens for every step that starts too far away."""

_GUESSES = 60
"""Steps in the sample: more, where they creep, than a bracket that is wider costs."""

_GUESS_ERROR = 0.05
"""Relative change of the weights at which guessing ends: less takes more steps, more a wider
bracket around the guess."""

_SHARE = 0.05
"""Of the tokens, that a bracket holds: a wider one rarely has to be followed by another, but every
step in it costs more."""

_WIDTHS = np.array([2.0, 1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.008, 0.004, 0.002, 0.001])
"""Of brackets, as distances of the scale from 1; the widest that `_SHARE` allows is taken."""

_STEPS = 200
"""Towards a fixed point inside a bracket; usual are four. One that is not met by then ends the
bracket, and the next begins there."""

_BRACKETS = 6
"""Brackets before the whole vocabulary is looked at: each is a pass over all tokens."""

_FAR_SCALES = 12
"""Most scales outside the bracket, on each side, that a row is bounded at; a pass for all of them
costs as many additions a token. Fewer leave a wider range of S(H)."""

_FAR_RATIO = 2.5
"""Of the distances of neighbouring scales from the set found: closer ones bound better between
them, but reach less far."""

_FAR_STEP = 0.2
"""Largest step between two scales, in sigma: as for `_FAR_RATIO`."""

_LEAST_SIGMA = 0.15
"""The last scale below the bracket: S(H) further down is bounded by it alone."""

_NEAR_SCALES = 12
"""Most scales inside the bracket, on each side: these see only its tokens, and are cheap."""

_NEAR_RATIO = 0.4
"""Of the distances of neighbouring scales there, towards the set found: as for `_FAR_RATIO`."""

_LEAST_OFFSET = 1e-5
"""A bracket must reach this far, relatively, to both sides of the set found: nearer, rounding of
the masses decides."""

_LARGEST_MASS = 1.0 + 1e-8
"""Of a row: one that is further off is refused before it comes here."""


class Solved(NamedTuple):
    """The optimal set of one row, and how it was found.

    Attributes:
        masses: p, q_1..q_K and number of tokens of the set, shape (K + 2,).
        boxes: looked at.
        weights: tokens with p_i < lower w.q_i are in the set, unless they are open.
        lower: see there.
        ids: the open tokens.
        members: which of these are in the set.
    """

    masses: FloatArray
    boxes: int
    weights: FloatArray
    lower: float
    ids: np.ndarray[tuple[int], np.dtype[np.int64]]
    members: BoolArray


class _Root(NamedTuple):
    """Where an optimal set can be.

    Attributes:
        tokens: those that are open, and the masses of those inside.
        weights: tokens with p_i < lower w.q_i are inside.
        lower: see there.
        low: q_k(H) is at least this.
        high: q_k(H) is at most this.
        unproved: whether any set there may be better than the best one known.
    """

    tokens: OpenTokens
    weights: FloatArray
    lower: float
    low: FloatArray
    high: FloatArray
    unproved: bool


@kernel
def solve_sets(masses: FloatArray, num_drafts: int, sample: Sample) -> Solved:
    """The optimal set of one row.

    Args:
        masses: p and q_1..q_K, K + 1 rows.
        num_drafts: K, at least 2.
        sample: from `take_sample`, of at least K + 1 rows.

    Example:
        >>> masses = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3]])
        >>> from mdbound.bounds.laws.independent.sample import take_sample
        >>> solve_sets(masses, 2, take_sample(masses)).masses.tolist()
        [0.5, 0.8, 0.8, 2.0]
    """
    root, best, used = _find_root(masses, num_drafts, sample)
    members = _marks(root.tokens, best, used)
    size = root.tokens.size
    boxes = 1
    if root.unproved:
        local = OpenTokens(np.arange(size), root.tokens.masses, root.tokens.inside, size)
        boxes = contract_and_branch(local, root.low, root.high, best, members)
    return Solved(best, boxes, root.weights, root.lower, root.tokens.ids[:size], members)


@kernel
def _find_root(
    masses: FloatArray, num_drafts: int, sample: Sample
) -> tuple[_Root, FloatArray, FloatArray]:
    """The best threshold set met, as masses and weights, and where a better one can be."""
    vocab_size = masses.shape[1]
    start = leave_one_out_products(np.full(num_drafts, _START))
    weights, width = start, np.inf
    if vocab_size > _SMALL:
        weights, width, _ = _guess(num_drafts, vocab_size, sample, _START)
    attempt, starts = 0, 0
    while True:
        lower, upper = 1.0 / (1.0 + width), 1.0 + width
        whole = width == np.inf or attempt == _BRACKETS or product(weights) <= LEAST_PRODUCT
        if whole:
            weights, lower, upper = start, 0.0, np.inf
            inside = np.zeros(num_drafts + 2)
            tokens = OpenTokens(np.arange(vocab_size), masses, inside, vocab_size)
        else:
            tokens = bracket(masses, vocab_size, weights, lower, upper)
        best, used, following, settled = _settle(tokens, weights, lower, upper)
        if whole:
            low, high = np.zeros(num_drafts), np.full(num_drafts, _LARGEST_MASS)
            return _Root(tokens, weights, lower, low, high, True), best, used
        if settled:
            root, confined = _confine_root(
                masses, tokens, weights, lower, upper, best, used, following
            )
            if confined and (starts > 0 or root.tokens.size <= _MANY * vocab_size):
                return root, best, used
            # Much is open where a better set is far away: look for it from elsewhere.
            value = min(set_value(sampled_masses_below(sample, used)), 0.0)
            following, width, found = _other_guess(num_drafts, vocab_size, sample, value)
            if confined and not found:
                return root, best, used
            starts += 1
        weights = following
        attempt += 1


@kernel
def _other_guess(
    num_drafts: int, vocab_size: int, sample: Sample, value: float
) -> tuple[FloatArray, float, bool]:
    """The best of a few guesses, and whether it is better in the sample than `value`."""
    best, width, found = np.zeros(num_drafts), np.inf, False
    for start in _OTHER_STARTS:
        weights, around, reached = _guess(num_drafts, vocab_size, sample, start)
        if reached < value + _SAMPLE_ERROR * value:
            best, width, value, found = weights, around, reached, True
    return best, width, found


@kernel
def _marks(tokens: OpenTokens, best: FloatArray, used: FloatArray) -> BoolArray:
    """Which open tokens the threshold set with the given weights holds; none is the empty set."""
    members = np.zeros(tokens.size, dtype=np.bool_)
    if best[-1] > 0.0:
        gain = np.empty(tokens.size)
        weighted(tokens.masses, 0, tokens.size, used, gain)
        for i in range(tokens.size):
            members[i] = tokens.masses[0, i] < gain[i]
    return members


@kernel
def _guess(
    num_drafts: int, vocab_size: int, sample: Sample, start: float
) -> tuple[FloatArray, float, float]:
    """Weights near those of a good set, how far to look around them, and about its value.

    The search in the sample begins where all draft masses are `start`.
    """
    weights = leave_one_out_products(np.full(num_drafts, start))
    value = 0.0
    for _ in range(_GUESSES):
        found = sampled_masses_below(sample, weights)
        value = set_value(found)
        following = leave_one_out_products(found[1 : num_drafts + 1])
        if product(following) <= LEAST_PRODUCT:
            break
        step: FloatArray = np.log(following / weights)
        weights = following
        if max(most(step), -least(step)) < _GUESS_ERROR:
            break
    return weights, widest_bracket(sample, weights, _WIDTHS, _SHARE * vocab_size), value


@kernel
def _settle(
    tokens: OpenTokens,
    weights: FloatArray,
    lower: float,
    upper: float,
) -> tuple[FloatArray, FloatArray, FloatArray, bool]:
    """Follow w -> products of the other masses of {p_i < w.q_i} to a fixed point.

    Returns:
        Masses of the best set met; the weights it came from; the weights that come next; and
        whether a fixed point was met with all weights between `lower` and `upper` times those
        at the start.
    """
    num_drafts = len(weights)
    first = weights
    best, used = np.zeros(num_drafts + 2), weights
    x = np.zeros(num_drafts)
    for _ in range(_STEPS):
        found = masses_below(tokens.masses, tokens.size, weights, 1.0)
        found += tokens.inside
        if set_value(found) < set_value(best):
            best, used = found, weights
        following = leave_one_out_products(found[1 : num_drafts + 1])
        if same(found[1 : num_drafts + 1], x):
            return best, used, following, True
        x = found[1 : num_drafts + 1]
        if least(following) <= 0.0:
            return best, used, following, False
        inside = nowhere_above(lower * first, following) and nowhere_above(following, upper * first)
        weights = following
        if not inside:
            return best, used, weights, False
    return best, used, weights, False


# Long: a chain of proofs: each step returns as soon as it settles the row.
@kernel
def _confine_root(
    masses: FloatArray,
    tokens: OpenTokens,
    weights: FloatArray,
    lower: float,
    upper: float,
    best: FloatArray,
    used: FloatArray,
    following: FloatArray,
) -> tuple[_Root, bool]:
    """Where a set better than the best threshold set can be; False if this cannot be said."""
    num_drafts = len(weights)
    box_low, box_high = np.zeros(num_drafts), np.full(num_drafts, _LARGEST_MASS)
    proved = _Root(tokens, weights, lower, box_low, box_high, False)
    limit = min(set_value(best), 0.0) - BOX_TOLERANCE
    low, high = _far_range(masses, weights, lower, upper, limit)
    if low > high:
        return proved, True
    # The same range in terms of the weights at the set found.
    near = following
    if best[-1] > 0.0:
        near = leave_one_out_products(best[1 : num_drafts + 1])
    if product(near) <= LEAST_PRODUCT:
        return proved, False
    ratio = near / weights
    smallest, largest = least(ratio), most(ratio)
    low *= smallest * (1.0 - MARGIN)
    high *= largest * (1.0 + MARGIN)
    # Between these scales the tokens that are not open are where the bracket has put them.
    lowest, highest = lower / smallest, upper / largest
    if lowest > 1.0 - _LEAST_OFFSET or highest < 1.0 + _LEAST_OFFSET:
        return proved, False
    scales = scales_around(lowest, highest, _NEAR_SCALES, _NEAR_RATIO)
    found = confine(tokens, near, scales, low, high, limit)
    if not found.possible:
        return proved, True
    middle = tokens.inside + masses_below(tokens.masses, tokens.size, near, 1.0)
    shrink_box(found, near, middle[1 : num_drafts + 1], box_low, box_high)
    if not nowhere_above(box_low, box_high):
        return proved, True
    # An optimal set has its weights in this box. Where the bracket does not hold it, widen that.
    from_low, from_high = leave_one_out_products(box_low), leave_one_out_products(box_high)
    fits = least(from_low / weights) >= lower * (1.0 + MARGIN)
    if not fits or most(from_high / weights) > upper * (1.0 - MARGIN):
        weights = near
        lower = min(least(from_low / near), least(used / near)) * (1.0 - MARGIN)
        upper = max(most(from_high / near), most(used / near)) * (1.0 + MARGIN)
        tokens = bracket(masses, masses.shape[1], weights, lower, upper)
    return _Root(tokens, weights, lower, box_low, box_high, True), True


@kernel
def _far_range(
    masses: FloatArray, weights: FloatArray, lower: float, upper: float, limit: float
) -> tuple[float, float]:
    """Range of S(H) that scales outside the bracket leave to a set below the limit, if any."""
    num_drafts = len(weights)
    weight_product = product(weights)
    whole_mass = total(weights) * _LARGEST_MASS
    flat = num_drafts * weight_product ** (1.0 / (num_drafts - 1))
    steepest = max((whole_mass / flat) ** (num_drafts - 1), 2.0 * upper)
    scales = _far_scales(lower, upper, steepest, num_drafts)
    whole = OpenTokens(
        np.empty(0, dtype=np.int64), masses, np.zeros(num_drafts + 2), masses.shape[1]
    )
    gaps = safe_gaps(whole, weights, scales)
    return feasible_range(scales, gaps, num_drafts, weight_product, 0.0, whole_mass, limit)


@kernel
def _far_scales(lower: float, upper: float, steepest: float, num_drafts: int) -> FloatArray:
    """Scales from the bracket outwards, denser near it.

    They are spaced in sigma = s^(1 / (K - 1)): where phi has slope s, S is K sigma times what
    the set found would have if all its masses were sigma.
    """
    root = 1.0 / (num_drafts - 1)
    scales = np.empty(2 * _FAR_SCALES)
    count = 0
    distance = 1.0 - lower**root
    while count < _FAR_SCALES and 1.0 - distance > _LEAST_SIGMA:
        scales[count] = (1.0 - distance) ** (num_drafts - 1)
        distance += min((_FAR_RATIO - 1.0) * distance, _FAR_STEP)
        count += 1
    scales[count] = min(_LEAST_SIGMA ** (num_drafts - 1), lower)
    count += 1
    distance = upper**root - 1.0
    while count < 2 * _FAR_SCALES - 1 and (1.0 + distance) ** (num_drafts - 1) < steepest:
        scales[count] = (1.0 + distance) ** (num_drafts - 1)
        distance *= _FAR_RATIO
        count += 1
    scales[count] = steepest
    for i in range(1, count + 1):
        scale, j = scales[i], i
        while j > 0 and scales[j - 1] > scale:
            scales[j] = scales[j - 1]
            j -= 1
        scales[j] = scale
    return scales[: count + 1]
