"""Optimal acceptance from the optimal-transport linear program, for small vocabularies.

The membership-cost program over the sets S of distinct drafted tokens with probability m(S):

    maximise    sum over S and y in S of x(S, y)                                          (1)
    subject to  sum over y in S of x(S, y) <= m(S),   sum over S of x(S, y) <= p(y),   x >= 0.

It needs no theorem on minimising sets, so it is an independent check of `optimal_acceptance`.
HiGHS solves (1) after a substitution that leaves few rows: let every set hand out all of its mass
and pay for what a token gets above p(y),

    minimise    sum over y of o(y)                                                        (2)
    subject to  sum over y in S of x(S, y) = m(S),   sum over S of x(S, y) - o(y) <= p(y).

A plan of (1) becomes one of (2) by handing each set's unused mass to any of its tokens, and back
by taking o(y) away again; acceptance is 1 minus the value of (2). The last token of each set is
then eliminated by its equation: a set of two tokens becomes one bounded variable without a row.
The cvxpy backend states (1) as it is.
"""

from __future__ import annotations

import time
import warnings
from importlib import import_module
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.programs.lp_backends import LinearProgram, solve_with_highs
from mdbound.bounds.programs.transport import (
    TransportProblem,
    TransportSolution,
    finish,
    transport_problem,
)
from mdbound.errors import InvalidSettingError, MissingDependencyError, UnsolvedError

Backend = Literal["highs", "cvxpy"]

BYTES_PER_ENTRY = {"highs": 1_000, "cvxpy": 6_000}
"""Peak memory per (set, token) pair, measured and rounded up. Too little lets a program be killed,
too much refuses one that would fit."""

CLARABEL_TOLERANCES = (1e-13, 1e-11, 1e-9)
"""Tried one after the other: the first is out of reach of some programs, the last is what
`transport.GAP_TOLERANCE` allows, and each failure costs a run."""

MASS_UNIT = 1e-4
"""Solvers see probabilities in this unit, which makes HiGHS' tolerance of 1e-10 one of 1e-14. A
smaller unit is finer still, and takes large masses out of the range that solvers scale well."""


def optimal_acceptance_lp(
    target: npt.ArrayLike,
    draft: Any,
    num_drafts: int,
    sampling: str = "with_replacement",
    backend: Backend = "highs",
    *,
    time_limit: float | None = None,
    max_bytes: int | None = None,
) -> float:
    """Optimal acceptance alpha* of one position from the optimal-transport linear program.

    Exact up to 1e-9 (in practice 1e-14): the solver's plan is a lower bound and its dual set an
    upper bound, and the two must meet.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for `"independent"`.
        num_drafts: n, at least 1.
        sampling: `"with_replacement"`, `"without_replacement"`, `"greedy"` or `"independent"`.
        backend: `"highs"`, or `"cvxpy"` for the same problem through another modelling layer and
            an interior-point solver.
        time_limit: seconds for the solver, or None.
        max_bytes: refuse a program estimated above this; None takes half of the memory.

    Returns:
        Probability that the output is among the drafted tokens under the best lossless rule.

    Raises:
        InvalidDistributionError: an array holds no distribution, or the sizes differ.
        InvalidSettingError: an unknown law or backend, or a program that is too large.
        MissingDependencyError: cvxpy is wanted and not installed.
        UnsolvedError: the solver ended without an optimum.

    Example:
        >>> round(optimal_acceptance_lp([0.618, 0.354, 0.028], [0.373, 0.58, 0.047], 2), 12)
        0.988871
    """
    return solve_transport(
        target,
        draft,
        num_drafts,
        sampling,
        backend,
        time_limit=time_limit,
        max_bytes=max_bytes,
    ).acceptance


# Long: the program is built, solved and its plan read back by the same arrays of sets.
def solve_transport(
    target: npt.ArrayLike,
    draft: Any,
    num_drafts: int,
    sampling: str = "with_replacement",
    backend: Backend = "highs",
    *,
    time_limit: float | None = None,
    max_bytes: int | None = None,
) -> TransportSolution:
    """Solve the optimal-transport program; plan, dual set, sizes and time (see the module).

    Arguments and errors as `optimal_acceptance_lp`.

    Example:
        >>> solution = solve_transport([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], 2)
        >>> solution.acceptance, solution.selected.tolist(), solution.num_columns
        (0.5, [0.0, 0.75, 0.25], 4)
    """
    if backend not in BYTES_PER_ENTRY:
        raise InvalidSettingError(f"backend is {backend!r}: give 'highs' or 'cvxpy'")
    problem = transport_problem(
        target,
        draft,
        num_drafts,
        sampling,
        bytes_per_entry=BYTES_PER_ENTRY[backend],
        max_bytes=max_bytes,
    )
    if backend == "cvxpy":
        return _solve_with_cvxpy(problem, time_limit)
    program = _overflow_program(problem)
    solved = solve_with_highs(program, time_limit)
    flow, column = [], 0
    for members, mass in problem.sets.groups():
        free = members.shape[1] - 1
        part = solved.columns[column : column + len(mass) * free].reshape(len(mass), free)
        part = part * MASS_UNIT
        flow.append(np.column_stack([part, mass - part.sum(axis=1)]))
        column += len(mass) * free
    # The dual of a token's row is 1 where one more unit of p is worth one more of acceptance.
    subset = solved.row_duals[: len(problem.target)] < -0.5
    size = (len(program.row_upper), len(program.cost), len(program.value))
    return finish(
        problem,
        flow,
        subset,
        backend="highs",
        status=solved.status,
        size=size,
        seconds=solved.seconds,
    )


def _overflow_program(problem: TransportProblem) -> LinearProgram:
    """Program (2): one row per token, one more per set of three tokens and above."""
    vocabulary = len(problem.target)
    base = np.zeros(vocabulary)  # What a token gets when every set serves its last token.
    rows, values, lengths, uppers = [], [], [], []
    set_limits = []
    next_row = vocabulary
    for members, mass in problem.sets.groups():
        count, size = members.shape
        np.add.at(base, members[:, -1], mass)
        if size == 1:
            continue
        entries = [members[:, :-1].ravel(), np.repeat(members[:, -1], size - 1)]
        signs = [1.0, -1.0]
        if size > 2:
            entries.append(np.repeat(next_row + np.arange(count), size - 1))
            signs.append(1.0)
            set_limits.append(mass)
            next_row += count
        rows.append(np.column_stack(entries).ravel())
        values.append(np.tile(signs, count * (size - 1)))
        lengths.append(np.full(count * (size - 1), len(signs)))
        uppers.append(np.repeat(mass / MASS_UNIT, size - 1))
    free = sum(len(upper) for upper in uppers)
    rows.append(np.arange(vocabulary))
    values.append(np.full(vocabulary, -1.0))
    lengths.append(np.ones(vocabulary, dtype=np.int64))
    uppers.append(np.full(vocabulary, np.inf))
    return LinearProgram(
        cost=np.concatenate([np.zeros(free), np.ones(vocabulary)]),
        column_upper=np.concatenate(uppers),
        row_lower=np.full(next_row, -np.inf),
        row_upper=np.concatenate([problem.target - base, *set_limits]) / MASS_UNIT,
        start=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]),
        row=np.concatenate(rows),
        value=np.concatenate(values),
    )


def _solve_with_cvxpy(problem: TransportProblem, time_limit: float | None) -> TransportSolution:
    """Program (1) in cvxpy, solved by its interior-point solver Clarabel."""
    try:
        cvxpy = import_module("cvxpy")
    except ImportError as error:
        raise MissingDependencyError(
            "backend 'cvxpy' needs cvxpy: install mdbound[lp], or use backend 'highs'"
        ) from error
    groups = list(problem.sets.groups())
    token = np.concatenate([members.ravel() for members, _ in groups])
    sizes = np.concatenate([np.full(len(mass), members.shape[1]) for members, mass in groups])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    masses = np.concatenate([mass for _, mass in groups])
    column, ones = np.arange(len(token)), np.ones(len(token))
    x = cvxpy.Variable(len(token), nonneg=True)
    from scipy.sparse import csr_array  # here, as highspy in `lp_backends`

    of_set = csr_array((ones, (owner, column)), shape=(len(masses), len(token)))
    of_token = csr_array((ones, (token, column)), shape=(len(problem.target), len(token)))
    # In units of MASS_UNIT: the solver gives up on programs whose numbers are all tiny.
    limits = [of_set @ x <= masses / MASS_UNIT, of_token @ x <= problem.target / MASS_UNIT]
    statement = cvxpy.Problem(cvxpy.Maximize(cvxpy.sum(x)), limits)
    began = time.perf_counter()
    _run_clarabel(cvxpy, statement, {} if time_limit is None else {"time_limit": time_limit})
    seconds = time.perf_counter() - began
    if x.value is None or limits[1].dual_value is None:
        raise UnsolvedError(
            f"cvxpy ended with status {statement.status}: use backend 'highs', or raise time_limit"
        )
    return finish(
        problem,
        _split(_within_target(x.value * MASS_UNIT, token, problem.target), problem),
        limits[1].dual_value > 0.5,
        backend="cvxpy",
        status=statement.status,
        size=(len(masses) + len(problem.target), len(token), 2 * len(token)),
        seconds=seconds,
    )


def _run_clarabel(cvxpy: Any, statement: Any, options: dict[str, float]) -> None:
    """Solve to the tightest tolerance that the solver can reach on this program."""
    for tolerance in CLARABEL_TOLERANCES:
        limits = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
        with warnings.catch_warnings():
            # "May be inaccurate": plan and dual set are evaluated afterwards, and must meet.
            warnings.simplefilter("ignore", UserWarning)
            try:
                statement.solve(solver=cvxpy.CLARABEL, **options, **limits)
            except cvxpy.error.SolverError as error:
                if tolerance == CLARABEL_TOLERANCES[-1]:
                    raise UnsolvedError(f"cvxpy: {error}: use backend 'highs'") from error
            else:
                return


def _within_target(flow: FloatArray, token: npt.NDArray[np.int64], p: FloatArray) -> FloatArray:
    """Scale down tokens that an interior-point plan serves slightly above p."""
    flow = np.maximum(flow, 0.0)
    served = np.bincount(token, weights=flow, minlength=len(p))
    ratio = np.divide(p, served, out=np.ones_like(p), where=served > p)
    return np.asarray(flow * ratio[token])


def _split(flow: FloatArray, problem: TransportProblem) -> list[FloatArray]:
    parts, start = [], 0
    for members, _ in problem.sets.groups():
        parts.append(flow[start : start + members.size].reshape(members.shape))
        start += members.size
    return parts
