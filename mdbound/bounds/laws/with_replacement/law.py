"""Drafts drawn i.i.d. from one distribution: F(H) = q(H)^n, minimised over prefixes.

Hu et al. 2025 (dual of the optimal-transport program); Khisti et al. 2025, Theorem 3 for n = 2
and Remark 2 for any n. One pass puts the tokens into buckets of p/q (`log_ratio_buckets`), all n
are then searched at their edges (`bucket_edges`) and inside the few that may hold an optimum
(`open_buckets`); nothing is sorted.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.draft_law import DraftLaw, optimal_prefix
from mdbound.bounds.laws.with_replacement.buckets import (
    LEAST_LOG_RATIO,
    LOWEST_LOG_RATIO,
    SPAN_ROUNDINGS,
    TOKENS_PER_BUCKET,
    TOTAL_ROUNDINGS,
    Buckets,
    fill_from_probabilities,
    new_buckets,
)
from mdbound.bounds.laws.with_replacement.buckets_from_logits import (
    Placement,
    fill_from_logits,
    sampled_log_shift,
)
from mdbound.bounds.laws.with_replacement.edges import (
    GROUP,
    Prefixes,
    bucket_prefixes,
    minimum_at,
    search_edges,
)
from mdbound.bounds.laws.with_replacement.open_buckets import divide, open_tokens, search_tokens
from mdbound.bounds.laws.with_replacement.sorted_rows import sorted_curve
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.fused_softmax import largest_logit
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF, prefix_sums
from mdbound.bounds.numerics.vector_exp import vector_exp
from mdbound.bounds.problem.array_types import (
    BoolArray,
    FloatArray,
    IntArray,
    LogitsRow,
    LogitsRows,
)
from mdbound.bounds.problem.logits_problem import LogitsProblem
from mdbound.bounds.problem.small_problems import PAIRWISE_ROUNDINGS, is_small
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings

MANY_TOKENS = 8 * TOKENS_PER_BUCKET
"""With more tokens in an end bucket that matters, the buckets are placed again."""

CROWD_LIMIT = 350.0
"""Above this mean number of tokens per bucket the bucket sums are taken again, compensated."""


class WithReplacement(DraftLaw):
    """n i.i.d. draws from q."""

    name = "with_replacement"
    compile_seconds = 9.0

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `with_replacement_curve`."""
        del strict  # every checked row is solved
        solve = sorted_curve if is_small(target, max_drafts) else with_replacement_curve
        return solve(target, draft, max_drafts)

    def curve_from_logits(
        self, problem: LogitsProblem[LogitsRows], max_drafts: int
    ) -> AcceptanceCurve:
        """One pass over the logits of each row."""
        of_softmax = softmax_roundings(problem.vocab_size)
        if is_small(problem.target, max_drafts):
            curve = self.curve_through_probabilities(problem, max_drafts)
            of_mass = (of_softmax + PAIRWISE_ROUNDINGS) * UNIT_ROUNDOFF
            return curve.with_more_error(of_mass * np.arange(2.0, max_drafts + 2.0))
        p, q = problem.target, problem.drafts[0]
        inverse = (1.0 / problem.warpers.temperature, 1.0 / problem.draft_temperatures[0])
        found, bounds = new_findings(len(p), max_drafts)
        run_chunks(
            lambda chunk, chunks: _solve_logits(
                p, q, inverse, of_softmax, max_drafts, chunk, chunks, found, bounds
            ),
            len(p),
        )
        return AcceptanceCurve.of_findings(found, bounds)

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """An optimal prefix of the order q/p descending, of exact ties not always the smallest."""
        # It is sorted to name the tokens: so it is to find how many there are.
        curve = sorted_curve(target[None], draft[None], num_drafts)
        return optimal_prefix(target, draft, int(curve.subset_size[0, -1]))

    def containment(self, draft: FloatArray, subset: BoolArray, num_drafts: int) -> float:
        """q(H)^n."""
        return float(prefix_sums(draft[subset])[-1] ** num_drafts)


def with_replacement_curve(
    target: FloatArray, draft: FloatArray, max_drafts: int
) -> AcceptanceCurve:
    """Optimal acceptance for n = 1..max_drafts i.i.d. drafts, for the probabilities as given.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> with_replacement_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    found, bounds = new_findings(len(target), max_drafts)
    run_chunks(
        lambda chunk, chunks: _solve_probabilities(
            target, draft, max_drafts, chunk, chunks, found, bounds
        ),
        len(target),
    )
    return AcceptanceCurve.of_findings(found, bounds)


@kernel
def error_bound(num_drafts: int, crowd: float, softmax: float) -> float:
    """Rounding error of alpha* in terms of unit roundoffs.

    A prefix mass carries the rounding of its bucket sums (`crowd` roundoffs), of the total, of
    the sums over `GROUP` buckets, and, from logits, of the softmax. The power n multiplies this
    by n. A few more are the power itself, the final sums, the search tolerance, and tokens whose
    rounded ratios are out of order.

    Args:
        num_drafts: n.
        crowd: mean number of tokens per bucket.
        softmax: `softmax_roundings` for masses from logits, 0 for given probabilities.

    Example:
        >>> error_bound(8, 200.0, 42.5) < 4e-13
        True
    """
    mass = crowd + TOTAL_ROUNDINGS + GROUP + 4.0 + softmax
    return ((1.0 + num_drafts) * mass + 4.0 * num_drafts + 18.0) * UNIT_ROUNDOFF


def softmax_roundings(vocab_size: int) -> float:
    """Roundings of a mass that come from the exponentials in it.

    Each has 2.5 for the polynomial and 3 |ln p_i| for its argument, whose mean is at most 3 ln V,
    and 4 for the normalisation.

    Example:
        >>> 38.0 < softmax_roundings(32_000) < 42.0
        True
    """
    return 9.5 + 3.0 * math.log(vocab_size)


@kernel
def _solve_logits(
    target: LogitsRows,
    draft: LogitsRows,
    inverse: tuple[float, float],
    of_softmax: float,
    max_drafts: int,
    chunk: int,
    chunks: int,
    found: FloatArray,
    bounds: FloatArray,
) -> None:
    buckets = new_buckets(target.shape[1])
    for row in range(chunk, len(target), chunks):
        _solve_logits_row(
            target[row],
            draft[row],
            inverse,
            of_softmax,
            max_drafts,
            buckets,
            found[row],
            bounds[row],
        )


@kernel
def _solve_probabilities(
    target: FloatArray,
    draft: FloatArray,
    max_drafts: int,
    chunk: int,
    chunks: int,
    found: FloatArray,
    bounds: FloatArray,
) -> None:
    buckets = new_buckets(target.shape[1])
    for row in range(chunk, len(target), chunks):
        _solve_probabilities_row(
            target[row], draft[row], max_drafts, buckets, found[row], bounds[row]
        )


@kernel
def _solve_logits_row(
    p: LogitsRow,
    q: LogitsRow,
    inverse: tuple[float, float],
    of_softmax: float,
    max_drafts: int,
    buckets: Buckets,
    found: FloatArray,
    bounds: FloatArray,
) -> None:
    largest = (largest_logit(p), largest_logit(q))
    if np.isnan(largest[0]) or np.isnan(largest[1]):
        return
    shift = sampled_log_shift(p, q, largest, inverse)
    placement = Placement(shift, LOWEST_LOG_RATIO, True)
    prefixes, crowd = _fill_logits(p, q, largest, inverse, placement, max_drafts, buckets)
    # The last bucket may hold tokens of an optimal set if the sample misplaced the others.
    if prefixes.edges[-2] < max_drafts and buckets.tokens[-1] > MANY_TOKENS:
        shift = math.log(buckets.totals[0] / buckets.totals[1])
        placement = Placement(shift, LOWEST_LOG_RATIO, False)
        prefixes, crowd = _fill_logits(p, q, largest, inverse, placement, max_drafts, buckets)
    minima, open_pairs = search_edges(prefixes, max_drafts)
    if _opens_many(open_pairs, buckets):
        placement = Placement(shift, LEAST_LOG_RATIO, True)
        prefixes, crowd = _fill_logits(p, q, largest, inverse, placement, max_drafts, buckets)
        minima, open_pairs = search_edges(prefixes, max_drafts)
    tokens = open_tokens(buckets, open_pairs)
    p_open = _gather_logits(p, tokens.ids, largest[0], inverse[0], 1.0 / buckets.totals[0])
    q_open = _gather_logits(q, tokens.ids, largest[1], inverse[1], 1.0 / buckets.totals[1])
    parts, rounding = divide(tokens, open_pairs, p_open, q_open, prefixes)
    minima = search_tokens(tokens, parts, open_pairs, p_open, q_open, minima)
    _put(minima, found)
    for n in range(max_drafts):
        bounds[n] = error_bound(n + 1, crowd + rounding, of_softmax)


@kernel
def _fill_logits(
    p: LogitsRow,
    q: LogitsRow,
    largest: tuple[float, float],
    inverse: tuple[float, float],
    placement: Placement,
    max_drafts: int,
    buckets: Buckets,
) -> tuple[Prefixes, float]:
    """Fill the buckets, with compensation if need be; the prefixes, and rounding of bucket sums."""
    fill_from_logits(p, q, largest, inverse, placement, max_drafts, False, buckets)
    prefixes, crowd = bucket_prefixes(buckets, True)
    if crowd > CROWD_LIMIT:
        fill_from_logits(p, q, largest, inverse, placement, max_drafts, True, buckets)
        prefixes, _ = bucket_prefixes(buckets, True)
        crowd = SPAN_ROUNDINGS
    return prefixes, crowd


@kernel
def _opens_many(open_pairs: IntArray, buckets: Buckets) -> bool:
    """Whether an optimum may lie in the first bucket, and that holds many tokens."""
    first_is_open = False
    for pair in range(len(open_pairs)):
        first_is_open = first_is_open or open_pairs[pair, 1] == 0
    return first_is_open and buckets.tokens[0] > MANY_TOKENS


@kernel
def _solve_probabilities_row(
    p: FloatArray,
    q: FloatArray,
    max_drafts: int,
    buckets: Buckets,
    found: FloatArray,
    bounds: FloatArray,
) -> None:
    prefixes, crowd = _fill_probabilities(p, q, LOWEST_LOG_RATIO, max_drafts, buckets)
    minima, open_pairs = search_edges(prefixes, max_drafts)
    if _opens_many(open_pairs, buckets):
        prefixes, crowd = _fill_probabilities(p, q, LEAST_LOG_RATIO, max_drafts, buckets)
        minima, open_pairs = search_edges(prefixes, max_drafts)
    tokens = open_tokens(buckets, open_pairs)
    p_open, q_open = p[tokens.ids], q[tokens.ids]
    parts, rounding = divide(tokens, open_pairs, p_open, q_open, prefixes)
    minima = search_tokens(tokens, parts, open_pairs, p_open, q_open, minima)
    _put(minima, found)
    for n in range(max_drafts):
        bounds[n] = error_bound(n + 1, crowd + rounding, 0.0)


@kernel
def _fill_probabilities(
    p: FloatArray, q: FloatArray, log_lowest: float, max_drafts: int, buckets: Buckets
) -> tuple[Prefixes, float]:
    """As `_fill_logits`."""
    fill_from_probabilities(p, q, log_lowest, max_drafts, False, buckets)
    prefixes, crowd = bucket_prefixes(buckets, False)
    if crowd > CROWD_LIMIT:
        fill_from_probabilities(p, q, log_lowest, max_drafts, True, buckets)
        prefixes, _ = bucket_prefixes(buckets, False)
        crowd = SPAN_ROUNDINGS
    return prefixes, crowd


@kernel
def _put(minima: FloatArray, found: FloatArray) -> None:
    """Acceptance, size, p(H), q(H) and F(H) for each n."""
    for n in range(len(minima)):
        best = minimum_at(minima[n])
        found[0, n] = 1.0 + best.value
        found[1, n] = best.tokens
        found[2, n] = best.target
        found[3, n] = best.draft
        found[4, n] = best.draft ** (n + 1)


@kernel(fastmath={"contract"})
def _gather_logits(
    logits: LogitsRow,
    ids: npt.NDArray[np.int32],
    largest: float,
    inverse: float,
    scale: float,
) -> FloatArray:
    """Probabilities of a few tokens."""
    values = np.empty(len(ids))
    for i in range(len(ids)):
        values[i] = (logits[ids[i]] - largest) * inverse
    for i in range(len(ids)):
        values[i] = vector_exp(values[i]) * scale
    return values
