"""Independent drafts from different distributions: F(H) = q_1(H) q_2(H) ... q_K(H).

The objective f(H) = p(H) - prod_k q_k(H) has a threshold structure. Let H* be optimal and
x_k = q_k(H*), w_k = prod over j != k of x_j. Then

    p_i < sum_k w_k q_k,i  implies  i in H*,      p_i > sum_k w_k q_k,i  implies  i not in H*,

since adding i to H* (removing it) changes the product by at least (at most) the linear term.
Weights are guessed, followed to a threshold set, and the inequality of the arithmetic and the
geometric mean proves that no other set is better (`search`,
`mean_bound`), but for a few open tokens. *Contract and branch* settles these
(`branch`). It keeps a box around x: the least w over the box forces
tokens in, the largest forces tokens out, forced tokens shrink the box, and so on; a box that
cannot beat the best set is dropped, any other is cut in two along its longest side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.independent.branch import set_value
from mdbound.bounds.laws.independent.sample import take_sample
from mdbound.bounds.laws.independent.search import Solved, solve_sets
from mdbound.bounds.laws.independent.undecided import SUM_ERROR, masses_below, product, weighted
from mdbound.bounds.numerics.compiled.array_loops import total
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.fused_softmax import mass_error, softmax_into
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF, prefix_sums
from mdbound.bounds.numerics.tolerances import BOX_TOLERANCE, MAX_BOXES
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray, LogitsRows
from mdbound.bounds.problem.checks import check_num_drafts, check_pair
from mdbound.bounds.problem.logits_problem import LogitsProblem
from mdbound.bounds.problem.solution import AcceptanceCurve, new_findings, refuse_unsolved
from mdbound.errors import InvalidDistributionError, InvalidSettingError, UnsolvedError


class Independent(DraftLaw):
    """Draft k is drawn from its own q_k; drafting n uses the first n distributions."""

    name = "independent"
    num_distributions = None
    compile_seconds = 12.0

    def check_num_drafts(self, max_drafts: int, num_distributions: int) -> None:
        """Refuse a number of drafts below 1 or above that of the distributions."""
        check_num_drafts(max_drafts)
        if num_distributions < max_drafts:
            raise InvalidSettingError(
                f"num_drafts is {max_drafts} but {num_distributions} draft distributions were "
                "given: independent drafts need one each"
            )

    def check(
        self, target: npt.ArrayLike, draft: Any, max_drafts: int
    ) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """Return target rows and a tuple of K arrays of draft rows, all of one shape."""
        if isinstance(draft, np.ndarray) and draft.ndim < 2:
            raise InvalidDistributionError(
                f"independent drafts have shape {draft.shape}: give a sequence of arrays, "
                "one per draft"
            )
        self.check_num_drafts(max_drafts, len(draft))
        pairs = [check_pair(target, one) for one in draft]
        rows = max(len(pair[0]) for pair in pairs)
        repeated = [
            tuple(np.repeat(array, rows // len(array), axis=0) for array in pair)
            for pair in pairs
            if len(pair[0]) in (1, rows)
        ]
        if len(repeated) < len(pairs):
            raise InvalidDistributionError(
                "the independent drafts differ in their number of rows: give the same to each"
            )
        return repeated[0][0], tuple(pair[1] for pair in repeated)

    def curve(
        self,
        target: FloatArray,
        draft: Sequence[FloatArray],
        max_drafts: int,
        strict: bool = True,
    ) -> AcceptanceCurve:
        """See `independent_curve`."""
        return independent_curve(target, draft, max_drafts, strict)

    def curve_from_logits(
        self, problem: LogitsProblem[LogitsRows], max_drafts: int
    ) -> AcceptanceCurve:
        """As `independent_curve` with `strict=False`, one row of probabilities at a time."""
        logits = (problem.target, *problem.drafts[:max_drafts])
        temperatures = [problem.warpers.temperature, *problem.draft_temperatures[:max_drafts]]
        rows = len(problem.target)
        found = new_findings(rows, max_drafts)[0]
        boxes = np.zeros((rows, max_drafts), dtype=np.int64)

        def solve(chunk: int, chunks: int) -> None:
            masses = np.empty((len(logits), problem.vocab_size))
            for row in range(chunk, rows, chunks):
                usable = [
                    softmax_into(one[row], temperature, masses[k])
                    for k, (one, temperature) in enumerate(zip(logits, temperatures, strict=True))
                ]
                if all(usable):
                    _solve_row(masses, 1, max_drafts, found[row], boxes[row], _NO_MEMBERS)

        run_chunks(solve, rows)
        curve = _curve_of(found, boxes)
        for n in range(1, max_drafts + 1):
            curve.error_bound[:, n - 1] += _softmax_error(problem.vocab_size, n)
        return curve

    def optimal_subset(
        self, target: FloatArray, draft: Sequence[FloatArray], num_drafts: int
    ) -> BoolArray:
        """The best set that contract-and-branch finds."""
        return optimal_subset(target, np.stack(list(draft)[:num_drafts]))[0]

    def containment(self, draft: Sequence[FloatArray], subset: BoolArray, num_drafts: int) -> float:
        """Product of the q_k(H)."""
        product = 1.0
        for one in list(draft)[:num_drafts]:
            product *= prefix_sums(one[subset])[-1]
        return float(product)


def independent_curve(
    target: FloatArray, drafts: Sequence[FloatArray], max_drafts: int, strict: bool = True
) -> AcceptanceCurve:
    """Optimal acceptance with the first n of K different drafts, for n = 1..max_drafts.

    Args:
        target: p, checked rows (B, V).
        drafts: q_1, ..., q_K, checked rows (B, V) each, K >= max_drafts.
        max_drafts: N, from 1 to K.
        strict: raise when a row is not solved within `MAX_BOXES`; otherwise it stays NaN.

    Raises:
        UnsolvedError: naming the row, with `strict`.

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> independent_curve(p, [q, q[:, ::-1]], 2).acceptance.round(6).tolist()
        [[0.7, 0.94]]
    """
    curve = _curve_of(*solve_independent(target, drafts, max_drafts))
    if strict:
        refuse_unsolved(curve)
    return curve


def solve_independent(
    target: FloatArray, drafts: Sequence[FloatArray], max_drafts: int
) -> tuple[FloatArray, IntArray]:
    """Acceptance, size, p(H), mean q_k(H), F(H) of every row and n, and the boxes these took.

    Args:
        target: p, checked rows (B, V).
        drafts: q_1, ..., q_K, checked rows (B, V) each.
        max_drafts: N, from 1 to K.

    Returns:
        Shape (B, 5, N), NaN where more than `MAX_BOXES` boxes were needed; and boxes, (B, N).

    Example:
        >>> p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 0.3]])
        >>> solve_independent(p, [q, q], 2)[1].tolist()
        [[1, 1]]
    """
    found = new_findings(len(target), max_drafts)[0]
    boxes = np.zeros((len(target), max_drafts), dtype=np.int64)
    rows = np.ascontiguousarray(np.stack([target, *list(drafts)[:max_drafts]], axis=1))
    run_chunks(
        lambda chunk, chunks: _solve_rows(rows, max_drafts, chunk, chunks, found, boxes), len(rows)
    )
    return found, boxes


def _curve_of(found: FloatArray, boxes: IntArray) -> AcceptanceCurve:
    errors = np.array([error_bound(n) for n in range(1, found.shape[2] + 1)])
    errors = np.where(np.isnan(found[:, 0]), np.nan, errors)
    curve = AcceptanceCurve.of_findings(found, errors)
    return replace(curve, boxes=boxes)


def error_bound(num_drafts: int) -> float:
    """Search tolerance, and the rounding of the bounds that prove a set optimal.

    The value of a set is right to n + 1 sums of tokens and n + 2 roundings. A set that a bound
    excludes may be better than that bound by the rounding of n + 2 sums, of the weighted masses
    in them and of a few operations (`mean_bound.safe_gaps`). The larger of the
    two is the second.

    Example:
        >>> error_bound(2) < 2e-13
        True
    """
    rounding = (num_drafts + 2) * (SUM_ERROR + (num_drafts + 12) * UNIT_ROUNDOFF)
    return float(BOX_TOLERANCE + rounding)


def _softmax_error(vocab_size: int, num_drafts: int) -> float:
    """Rounding of the probabilities in n + 1 masses."""
    return float((num_drafts + 1) * mass_error(vocab_size) * UNIT_ROUNDOFF)


def optimal_subset(target: FloatArray, drafts: FloatArray) -> tuple[BoolArray, int]:
    """The optimal set of one row, and the number of boxes it took.

    Args:
        target: p, shape (V,).
        drafts: q_1..q_K, shape (K, V).

    Returns:
        A mask of shape (V,), and the boxes looked at.

    Raises:
        UnsolvedError: more than `MAX_BOXES` boxes would be needed.

    Example:
        >>> p, q = np.array([0.5, 0.3, 0.2]), np.array([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]])
        >>> mask, boxes = optimal_subset(p, q)
        >>> mask.tolist(), boxes
        ([False, True, True], 1)
    """
    masses = np.ascontiguousarray(np.vstack([target[None], drafts]))
    found, boxes = np.empty((5, len(drafts))), np.zeros(len(drafts), dtype=np.int64)
    members = np.zeros(len(target), dtype=np.bool_)
    _solve_row(masses, len(drafts), len(drafts), found, boxes, members)
    if boxes[-1] > MAX_BOXES:
        raise UnsolvedError(f"{len(drafts)} independent drafts need more than {MAX_BOXES} boxes")
    return members, int(boxes[-1])


def _solve_rows(
    rows: FloatArray,
    max_drafts: int,
    chunk: int,
    chunks: int,
    found: FloatArray,
    boxes: IntArray,
) -> None:
    for row in range(chunk, len(rows), chunks):
        _solve_row(rows[row], 1, max_drafts, found[row], boxes[row], _NO_MEMBERS)


_NO_MEMBERS = np.zeros(0, dtype=np.bool_)


@kernel
def _solve_row(
    masses: FloatArray,
    first: int,
    last: int,
    found: FloatArray,
    boxes: IntArray,
    members: BoolArray,
) -> None:
    """Fill in what is known of the optimal sets for n = first..last, at n - 1.

    NaN stays where a set was not found. The members of the last are written where there is room
    for them: a kernel of its own would compile the search once more.
    """
    sample = take_sample(masses)
    for n in range(first, last + 1):
        if n == 1:
            best = masses_below(masses[:2], masses.shape[1], np.ones(1), 1.0)
            boxes[0] = 1
            for i in range(len(members)):
                members[i] = masses[0, i] < masses[1, i]
        else:
            solved = solve_sets(masses[: n + 1], n, sample)
            best = solved.masses
            boxes[n - 1] = solved.boxes
            if len(members) > 0:
                _put_members(masses[: n + 1], solved, members)
        if boxes[n - 1] <= MAX_BOXES:
            inside = best[1 : n + 1]
            found[0, n - 1] = 1.0 + set_value(best)
            found[1, n - 1] = best[n + 1]
            found[2, n - 1] = best[0]
            found[3, n - 1] = total(inside) / n
            found[4, n - 1] = product(inside)


@kernel
def _put_members(masses: FloatArray, solved: Solved, members: BoolArray) -> None:
    gain = np.empty(masses.shape[1])
    weighted(masses, 0, masses.shape[1], solved.weights, gain)
    for i in range(len(members)):
        members[i] = masses[0, i] < solved.lower * gain[i]
    for i in range(len(solved.ids)):
        members[solved.ids[i]] = solved.members[i]
