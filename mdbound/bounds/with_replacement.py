"""Drafts drawn i.i.d. from one distribution: F(H) = q(H)^n, minimised over prefixes.

Hu et al. 2025 (dual of the optimal-transport program); Khisti et al. 2025, Theorem 3 for n = 2
and Remark 2 for any n. One pass puts the tokens into buckets of p/q (`log_ratio_buckets`), all n
are then searched in them (`prefix_search`); nothing is sorted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from mdbound.bounds.distributions import FloatArray
from mdbound.bounds.draft_law import BoolArray, DraftLaw, LogitsRows, optimal_prefix
from mdbound.bounds.fused_softmax import LogitsRow, largest_logit
from mdbound.bounds.log_ratio_buckets import fill_from_logits, sampled_log_shift
from mdbound.bounds.prefix_search import (
    GROUP,
    Minimum,
    bucket_prefixes,
    open_tokens,
    search_edges,
    search_tokens,
)
from mdbound.bounds.ratio_buckets import (
    SPAN_ROUNDINGS,
    TOKENS_PER_BUCKET,
    TOTAL_ROUNDINGS,
    fill_from_probabilities,
    new_buckets,
)
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.summation import UNIT_ROUNDOFF, prefix_sums
from mdbound.bounds.vector_exp import vector_exp

IntArray = npt.NDArray[np.int64]

CROWD_LIMIT = 500.0
"""Above this mean number of tokens per bucket the bucket sums are taken again, compensated."""


class WithReplacement(DraftLaw):
    """n i.i.d. draws from q."""

    name = "with_replacement"

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `with_replacement_curve`."""
        del strict  # every checked row is solved
        return with_replacement_curve(target, draft, max_drafts)

    def curve_from_logits(
        self,
        target: LogitsRows,
        drafts: Sequence[LogitsRows],
        temperature: float,
        draft_temperatures: Sequence[float],
        max_drafts: int,
    ) -> AcceptanceCurve:
        """One pass over the logits of each row."""
        curve = AcceptanceCurve.empty(len(target), max_drafts)
        _solve_logits(
            np.ascontiguousarray(target),
            np.ascontiguousarray(drafts[0]),
            (1.0 / temperature, 1.0 / draft_temperatures[0]),
            *_arrays(curve),
        )
        return curve

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """The smallest optimal prefix of the order q/p descending."""
        curve = with_replacement_curve(target[None], draft[None], num_drafts)
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
    curve = AcceptanceCurve.empty(len(target), max_drafts)
    _solve_probabilities(target, draft, *_arrays(curve))
    return curve


@njit(cache=True, nogil=True)
def error_bound(num_drafts: int, crowd: float, log_vocab: float) -> float:
    """Rounding error of alpha* in terms of unit roundoffs.

    A prefix mass carries the rounding of its bucket sums (`crowd` roundoffs), of the total, of
    the sums over `GROUP` buckets, and, from logits, of each exponential: 2.5 for the polynomial
    and 3 |ln p_i| for its argument, whose mean is at most 3 ln V, and 4 for the normalisation.
    The power n multiplies this by n. A few more are the power itself, the final sums, the search
    tolerance, and tokens whose rounded ratios are out of order.

    Args:
        num_drafts: n.
        crowd: mean number of tokens per bucket.
        log_vocab: ln V for masses from logits, 0 for given probabilities.

    Example:
        >>> error_bound(8, 200.0, 12.0) < 4e-13
        True
    """
    mass = crowd + TOTAL_ROUNDINGS + GROUP + 4.0
    if log_vocab > 0.0:
        mass += 6.5 + 3.0 * log_vocab
    return ((1.0 + num_drafts) * mass + 4.0 * num_drafts + 18.0) * UNIT_ROUNDOFF


def _arrays(
    curve: AcceptanceCurve,
) -> tuple[FloatArray, IntArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    return (
        curve.acceptance,
        curve.subset_size,
        curve.target_mass,
        curve.draft_mass,
        curve.containment,
        curve.error_bound,
    )


@njit(cache=True, parallel=True, nogil=True)
def _solve_logits(
    target: LogitsRows,
    draft: LogitsRows,
    inverse: tuple[float, float],
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
    bounds: FloatArray,
) -> None:
    rows, vocab_size = target.shape
    max_drafts = acceptance.shape[1]
    for row in prange(rows):
        p, q = target[row], draft[row]
        largest = (largest_logit(p), largest_logit(q))
        if np.isnan(largest[0]) or np.isnan(largest[1]):
            continue
        buckets = new_buckets(vocab_size)
        shift = sampled_log_shift(p, q, largest, inverse)
        fill_from_logits(p, q, largest, inverse, shift, max_drafts, False, buckets)
        prefixes, crowd = bucket_prefixes(buckets, True)
        crowded = crowd > CROWD_LIMIT
        # The last bucket may hold tokens of an optimal set if the sample placed it too low.
        misplaced = prefixes.edges[-2] < max_drafts
        if crowded or (misplaced and buckets.tokens[-1] > 8 * TOKENS_PER_BUCKET):
            shift = math.log(buckets.totals[0] / buckets.totals[1])
            fill_from_logits(p, q, largest, inverse, shift, max_drafts, crowded, buckets)
            prefixes, crowd = bucket_prefixes(buckets, True)
            crowd = SPAN_ROUNDINGS if crowded else crowd
        minima, open_pairs = search_edges(prefixes, max_drafts)
        ids, starts = open_tokens(buckets, open_pairs)
        p_open = _gather_logits(p, ids, largest[0], inverse[0], 1.0 / buckets.totals[0])
        q_open = _gather_logits(q, ids, largest[1], inverse[1], 1.0 / buckets.totals[1])
        minima = search_tokens(buckets, prefixes, open_pairs, starts, p_open, q_open, minima)
        for n in range(max_drafts):
            _put(minima[n], n, row, acceptance, subset_size, target_mass, draft_mass, containment)
            bounds[row, n] = error_bound(n + 1, crowd, math.log(vocab_size) + 1.0)


@njit(cache=True, parallel=True, nogil=True)
def _solve_probabilities(
    target: FloatArray,
    draft: FloatArray,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
    bounds: FloatArray,
) -> None:
    rows, vocab_size = target.shape
    max_drafts = acceptance.shape[1]
    for row in prange(rows):
        p, q = target[row], draft[row]
        buckets = new_buckets(vocab_size)
        fill_from_probabilities(p, q, max_drafts, False, buckets)
        prefixes, crowd = bucket_prefixes(buckets, False)
        if crowd > CROWD_LIMIT:
            fill_from_probabilities(p, q, max_drafts, True, buckets)
            prefixes, _ = bucket_prefixes(buckets, False)
            crowd = SPAN_ROUNDINGS
        minima, open_pairs = search_edges(prefixes, max_drafts)
        ids, starts = open_tokens(buckets, open_pairs)
        minima = search_tokens(buckets, prefixes, open_pairs, starts, p[ids], q[ids], minima)
        for n in range(max_drafts):
            _put(minima[n], n, row, acceptance, subset_size, target_mass, draft_mass, containment)
            bounds[row, n] = error_bound(n + 1, crowd, 0.0)


@njit(cache=True, nogil=True)
def _put(
    minimum: Minimum,
    n: int,
    row: int,
    acceptance: FloatArray,
    subset_size: IntArray,
    target_mass: FloatArray,
    draft_mass: FloatArray,
    containment: FloatArray,
) -> None:
    acceptance[row, n] = 1.0 + minimum.value
    subset_size[row, n] = minimum.tokens
    target_mass[row, n] = minimum.target
    draft_mass[row, n] = minimum.draft
    containment[row, n] = minimum.draft ** (n + 1)


@njit(cache=True, nogil=True, fastmath={"contract"})
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
