"""Drafts drawn one after the other without replacement from one distribution.

F(H) is q-convex (Hu et al. 2025): along any order its increments F(H + i) - F(H), divided by q_i,
never fall. So a prefix of the order q/p descending minimises p(H) - F(H). Tokens are bucketed by
ratio and searched for all n (`search`), whatever their number and n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.draft_law import DraftLaw, optimal_prefix
from mdbound.bounds.laws.without_replacement.fluid_arrivals import arrival_scratch, arrival_shares
from mdbound.bounds.laws.without_replacement.partition import (
    OUTSIDE,
    TARGET,
    PartitionScratch,
    mass,
    partition_scratch,
    ratio_partition,
)
from mdbound.bounds.laws.without_replacement.points import (
    SIZE,
    Points,
    SegmentClocks,
    clock_scratch,
    new_points,
)
from mdbound.bounds.laws.without_replacement.ring_law import (
    add_heavy,
    add_tokens,
    large_tokens,
    ring_nodes,
    smallest_positive,
)
from mdbound.bounds.laws.without_replacement.search import smallest_objectives
from mdbound.bounds.laws.without_replacement.sorted_rows import sorted_curve
from mdbound.bounds.numerics.clock_quadrature import NUM_POWERS, ClockQuadrature, clock_quadrature
from mdbound.bounds.numerics.compiled.kept_scratch import kept_scratch
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.fused_softmax import mass_error, softmax_into
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF, prefix_sums
from mdbound.bounds.numerics.tolerances import INTEGRAL_ERROR, SAME_OBJECTIVE
from mdbound.bounds.numerics.warped_softmax import warped_softmax
from mdbound.bounds.problem.any_array import plain_floats
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, LogitsRows
from mdbound.bounds.problem.logits_problem import LogitsProblem
from mdbound.bounds.problem.small_problems import is_small
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings

_USUAL_POINTS = 96
"""Points that usual rows stay below."""

_USUAL_NODES = 128
"""Nodes that usual rows stay below."""


class WithoutReplacement(DraftLaw):
    """n sequential draws from q, renormalised after each; the whole support if n exceeds it."""

    name = "without_replacement"
    renormalises = True
    compile_seconds = 12.0

    def curve(
        self, target: FloatArray, draft: FloatArray, max_drafts: int, strict: bool = True
    ) -> AcceptanceCurve:
        """See `without_replacement_curve`."""
        del strict  # every checked row is solved
        solve = sorted_curve if is_small(target, max_drafts) else without_replacement_curve
        return solve(target, draft, max_drafts)

    def curve_from_logits(
        self, problem: LogitsProblem[LogitsRows], max_drafts: int
    ) -> AcceptanceCurve:
        """As `without_replacement_curve`, one row of probabilities per thread at a time."""
        logits = problem.target, problem.drafts[0]
        temperatures = problem.warpers.temperature, problem.draft_temperatures[0]
        if is_small(problem.target, max_drafts):
            return _small_curve_from_logits(self, problem, max_drafts)
        found, error, least = _solve(logits, temperatures, _NO_MASSES, max_drafts)
        return AcceptanceCurve.of_findings(found, error).with_more_error(
            _softmax_error(problem.vocab_size, max_drafts, least)
        )

    def optimal_subset(self, target: FloatArray, draft: FloatArray, num_drafts: int) -> BoolArray:
        """The smallest optimal prefix of the order q/p descending."""
        curve = self.curve(target[None], draft[None], num_drafts)
        return optimal_prefix(target, draft, int(curve.subset_size[0, -1]))

    def containment(self, draft: FloatArray, subset: BoolArray, num_drafts: int) -> float:
        """The integral over exponential clocks."""
        inside = draft[subset & (draft > 0.0)]
        outside = draft[~subset & (draft > 0.0)]
        return prefix_containment(np.concatenate([inside, outside]), num_drafts, len(inside))


def without_replacement_curve(
    target: FloatArray, draft: FloatArray, max_drafts: int
) -> AcceptanceCurve:
    """Optimal acceptance for n = 1..max_drafts draws without replacement.

    With n at or above the draft's support the drafts are the whole support and the value is
    its target mass.

    The error bound is that of `_search_error`.

    Args:
        target: p, checked rows (B, V).
        draft: q, checked rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> without_replacement_curve(p, q, 3).acceptance.round(6).tolist()
        [[0.7, 0.985714, 1.0]]
    """
    found, error, _ = _solve(_NO_LOGITS, (1.0, 1.0), (target, draft), max_drafts)
    return AcceptanceCurve.of_findings(found, error)


_NO_LOGITS = (plain_floats(np.empty((0, 0), dtype=np.float32)),) * 2
_NO_MASSES = (np.empty((0, 0)),) * 2


def _solve(
    logits: tuple[LogitsRows, LogitsRows],
    temperatures: tuple[float, float],
    masses: tuple[FloatArray, FloatArray],
    max_drafts: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Findings, error bounds, least rates (B,) of rows of logits or, if none, of probabilities."""
    rows, vocab_size = max(logits[0].shape, masses[0].shape)
    found, error = new_findings(rows, max_drafts)
    least = np.ones(rows)

    def solve(chunk: int, chunks: int) -> None:
        scratch = kept_scratch(_new_scratch, vocab_size, max_drafts)
        _solve_rows(logits, temperatures, masses, scratch, chunk, chunks, found, error, least)

    run_chunks(solve, rows, per_thread=1)  # the scratch of a chunk is megabytes
    return found, error, least


def prefix_containment(rates: FloatArray, num_drafts: int, size: int) -> float:
    """F_n of the first `size` of the given tokens, exactly (to `INTEGRAL_ERROR`).

    Args:
        rates: draft probabilities of the tokens that can be drafted, in any order, all
            positive; only their ratios matter.
        num_drafts: n, at least 1.
        size: 0 <= size <= m.

    Example:
        >>> round(prefix_containment(np.array([0.5, 0.25, 0.25]), 2, 2), 12)
        0.416666666667
        >>> prefix_containment(np.array([0.5, 0.25, 0.25]), 3, 3)
        1.0
    """
    rates = rates / prefix_sums(rates)[-1]
    if size == len(rates):
        return 1.0
    if size < num_drafts:
        return 0.0
    return float(_prefix_containment(clock_quadrature(num_drafts), rates, size, num_drafts))


@kernel
def _prefix_containment(
    rule: ClockQuadrature, rates: FloatArray, size: int, num_drafts: int
) -> float:
    nodes = ring_nodes(rule, rates)
    max_drafts, count = len(rule.series), nodes.grid.shape[1]
    places = np.empty(len(rates) + 1, dtype=np.int64)
    large = places[: large_tokens(rates, nodes.faint_rate, places)]
    sums, heavy = np.zeros(NUM_POWERS + 1), np.empty(len(large))
    found = add_tokens(nodes, rates, large, 0, size, sums, heavy, 0)
    law = np.zeros((max_drafts, count))
    law[0] = 1.0
    add_heavy(nodes.grid, heavy[:found], law)
    shares = np.empty((max_drafts + 1, max_drafts + 1))
    slope = np.empty(max_drafts + 1)
    scratch = arrival_scratch(max_drafts, count)
    arrival_shares(nodes, law, sums, mass(rates[size:]), scratch, shares, slope)
    return float(shares[num_drafts, 0])


class RowScratch(NamedTuple):
    """What a thread needs to solve rows, the rule of the integral among it."""

    rule: ClockQuadrature
    partition: PartitionScratch
    clocks: SegmentClocks
    points: Points


def _new_scratch(vocab_size: int, max_drafts: int) -> RowScratch:
    rule = clock_quadrature(max_drafts)
    return RowScratch(
        rule,
        partition_scratch(vocab_size),
        clock_scratch(vocab_size),
        new_points(_USUAL_POINTS, len(rule.series), _USUAL_NODES),
    )


# Logits and probabilities are solved by one kernel, so that the search is compiled once.
@kernel
def _solve_rows(
    logits: tuple[LogitsRows, LogitsRows],
    temperatures: tuple[float, float],
    masses: tuple[FloatArray, FloatArray],
    scratch: RowScratch,
    chunk: int,
    chunks: int,
    found: FloatArray,
    error: FloatArray,
    least: FloatArray,
) -> None:
    """Fill in what is known of the optima, and the smallest rate of each row."""
    of_logits = len(logits[0]) > 0
    p, q = np.empty(logits[0].shape[1]), np.empty(logits[1].shape[1])
    for row in range(chunk, len(found), chunks):
        if of_logits:
            usable = softmax_into(logits[0][row], temperatures[0], p)
            usable = usable and softmax_into(logits[1][row], temperatures[1], q)
            if not usable:
                continue
        else:
            p, q = masses[0][row], masses[1][row]
        _solve_row(p, q, scratch, found[row], error[row])
        least[row] = smallest_positive(q)


@kernel
def _solve_row(
    target: FloatArray,
    draft: FloatArray,
    scratch: RowScratch,
    found: FloatArray,
    error: FloatArray,
) -> None:
    order = ratio_partition(target, draft, 1.0 / mass(draft), scratch.partition)
    nodes = ring_nodes(scratch.rule, order.rates)
    arrivals = arrival_scratch(len(scratch.rule.series), nodes.grid.shape[1])
    last, used = smallest_objectives(
        order, nodes, found.shape[1], scratch.clocks, scratch.points, arrivals
    )
    _read_points(last, used, found)
    error[:] = _search_error(order.rates, nodes.light_rate)


@kernel
def _read_points(points: Points, used: int, found: FloatArray) -> None:
    """Acceptance, size, p(H), q(H) and F_n(H) of the smallest optimal point for each n."""
    for n in range(1, found.shape[1] + 1):
        best = 0.0
        for point in range(used):
            best = min(best, points.mass[point, TARGET] - points.shares[point, n, 0])
        smallest = -1
        for point in range(used):
            objective = points.mass[point, TARGET] - points.shares[point, n, 0]
            if objective <= best + SAME_OBJECTIVE and (
                smallest < 0 or points.place[point, SIZE] < points.place[smallest, SIZE]
            ):
                smallest = point
        contained = points.shares[smallest, n, 0]
        found[0, n - 1] = 1.0 + (points.mass[smallest, TARGET] - contained)
        found[1, n - 1] = points.place[smallest, SIZE]
        found[2, n - 1] = points.mass[smallest, TARGET]
        found[3, n - 1] = 1.0 - points.mass[smallest, OUTSIDE]
        found[4, n - 1] = contained


@kernel
def _search_error(rates: FloatArray, light_rate: float) -> float:
    """Error of p(H) - F_n(H) at the best prefix, and of the bounds that excluded the others.

    A containment is right to c, `INTEGRAL_ERROR` and five roundings for each heavy token: its
    e^(-x) is right to 2.9 units (2.5 of the exponential, x e^(-x) of its argument), and adding it
    to the law takes two. The value at the best prefix has this error. The bounds on the others
    have three times as much (`cuts.MOST_ADDED`): so the minimum may be
    lower by this, the tolerance of the search and `SAME_OBJECTIVE`. Masses are sums in blocks of
    512, and one addition for each block.
    """
    heavy = 0
    for i in range(len(rates)):
        heavy += 1 if rates[i] > light_rate else 0
    masses = UNIT_ROUNDOFF * (512.0 + len(rates) / 512.0)
    containment = INTEGRAL_ERROR + 5.0 * UNIT_ROUNDOFF * heavy
    return 3.0 * containment + masses + SAME_OBJECTIVE


def _small_curve_from_logits(
    law: DraftLaw, problem: LogitsProblem[LogitsRows], max_drafts: int
) -> AcceptanceCurve:
    curve = law.curve_through_probabilities(problem, max_drafts)
    solved = ~np.isnan(curve.acceptance[:, 0])
    q = warped_softmax(problem.drafts[0][solved], problem.draft_warpers[0])
    least = np.where(q > 0.0, q, 1.0).min(axis=1, initial=1.0)
    errors = np.zeros(curve.acceptance.shape)
    errors[solved] = _softmax_error(problem.vocab_size, max_drafts, least)
    return curve.with_more_error(errors)


def _softmax_error(vocab_size: int, max_drafts: int, least: FloatArray) -> FloatArray:
    """Rounding of the probabilities: `mass_error` in p(H), and in F_n one term for each draw.

    Relative errors up to e move the law of one draw by at most e / 2 in total variation. What is
    left after some draws may be the least likely tokens, whose probability is given for each row:
    e is 4 + 3 |ln q| for these, see `numerics.fused_softmax.softmax_into`.
    """
    draws = np.arange(1.0, max_drafts + 1.0) * (10.0 - 2.0 * np.log(least[:, None]))
    error: FloatArray = UNIT_ROUNDOFF * (mass_error(vocab_size) + draws)
    return error
