"""The importance-sampling program of Khisti et al.: which drafted token to select.

Their Theorem 1: the optimum is reached by selecting one drafted token Y with probabilities
beta(y | drafts), then running single-draft speculative sampling on Y against its law p_I. In their
notation the target is q, the drafts are p_k and K is our n. Over the sets S of distinct drafted
tokens with probability m(S),

    maximise    sum over y of t(y)
    subject to  sum over y in S of beta(y | S) = 1,   beta >= 0,
                t(y) <= p(y),   t(y) <= p_I(y) = sum over S of m(S) beta(y | S).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.programs.linear_program import BYTES_PER_ENTRY
from mdbound.bounds.programs.lp_backends import LinearProgram, solve_with_highs
from mdbound.bounds.programs.transport import (
    TransportProblem,
    TransportSolution,
    finish,
    transport_problem,
)


def importance_sampling_lp(
    target: npt.ArrayLike,
    draft: Any,
    num_drafts: int,
    sampling: str = "with_replacement",
    *,
    time_limit: float | None = None,
    max_bytes: int | None = None,
) -> TransportSolution:
    """Optimal selection rule and canonical acceptance of one position (small vocabularies).

    The returned `flow` is m(S) beta(y | S) and `selected` is p_I; `acceptance` is the canonical
    value sum of min(p, p_I), equal to that of the optimal-transport program (Khisti et al. 2025,
    Theorem 1).

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for `"independent"`.
        num_drafts: n, at least 1.
        sampling: `"with_replacement"`, `"without_replacement"`, `"greedy"` or `"independent"`.
        time_limit: seconds for the solver, or None.
        max_bytes: refuse a program estimated above this; None takes half of the memory.

    Raises:
        InvalidDistributionError: an array holds no distribution, or the sizes differ.
        InvalidSettingError: an unknown law, or a program that is too large.
        UnsolvedError: the solver ended without an optimum.

    Example:
        >>> solution = importance_sampling_lp([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], 2)
        >>> solution.acceptance, solution.selected.tolist()
        (0.5, [0.0, 0.75, 0.25])
    """
    problem = transport_problem(
        target,
        draft,
        num_drafts,
        sampling,
        bytes_per_entry=BYTES_PER_ENTRY["highs"],
        max_bytes=max_bytes,
    )
    program = _selection_program(problem)
    solved = solve_with_highs(program, time_limit)
    flow, column = [], 0
    for members, mass in problem.sets.groups():
        beta = solved.columns[column : column + members.size].reshape(members.shape)
        flow.append(beta * mass[:, None])
        column += members.size
    # The dual of t(y) <= p_I(y) is 0 where more selection of y would not be accepted.
    subset = solved.row_duals[: len(problem.target)] > -0.5
    size = (len(program.row_upper), len(program.cost), len(program.value))
    return finish(
        problem,
        flow,
        subset,
        backend="highs, importance sampling",
        status=solved.status,
        size=size,
        seconds=solved.seconds,
    )


def _selection_program(problem: TransportProblem) -> LinearProgram:
    """Rows: t(y) - p_I(y) <= 0 for each token, then one equation per set."""
    vocabulary = len(problem.target)
    rows, values = [], []
    next_row = vocabulary
    for members, mass in problem.sets.groups():
        count, size = members.shape
        equation = np.repeat(next_row + np.arange(count), size)
        rows.append(np.column_stack([members.ravel(), equation]).ravel())
        values.append(np.column_stack([-np.repeat(mass, size), np.ones(members.size)]).ravel())
        next_row += count
    betas = sum(members.size for members in problem.sets.members)
    starts = np.concatenate([2 * np.arange(betas), 2 * betas + np.arange(vocabulary + 1)])
    return LinearProgram(
        cost=np.concatenate([np.zeros(betas), np.full(vocabulary, -1.0)]),
        column_upper=np.concatenate([np.ones(betas), problem.target]),
        row_lower=np.concatenate([np.full(vocabulary, -np.inf), np.ones(next_row - vocabulary)]),
        row_upper=np.concatenate([np.zeros(vocabulary), np.ones(next_row - vocabulary)]),
        start=starts,
        row=np.concatenate([*rows, np.arange(vocabulary)]),
        value=np.concatenate([*values, np.ones(vocabulary)]),
    )
