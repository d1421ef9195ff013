"""Solving a sparse linear program with HiGHS, through highspy and without a modelling layer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import InvalidSettingError, UnsolvedError

FEASIBILITY_TOLERANCE = 1e-10
"""The tightest primal and dual tolerance that HiGHS accepts; a looser one ends sooner, farther
off."""

SMALLEST_COEFFICIENT = 1e-12
"""HiGHS drops matrix entries below this; its default of 1e-9 would drop rare draft sets. Smaller
ones than this may not be set."""

RESULT_STATUSES = ("kOptimal", "kModelEmpty")

STATUS_ADVICE = {
    "kNotset": "the solver did not run; report this with the input that caused it",
    "kLoadError": "the program could not be loaded; check that it fits in memory",
    "kModelError": "the program was rejected; check the distributions for extreme values",
    "kPresolveError": "presolve failed; try a smaller vocabulary (top_k)",
    "kSolveError": "the solver failed numerically; try a smaller vocabulary (top_k)",
    "kPostsolveError": "postsolve failed; try a smaller vocabulary (top_k)",
    "kInfeasible": "no plan exists, which cannot be: report this with the input that caused it",
    "kUnboundedOrInfeasible": "no optimum exists, which cannot be: report this with the input",
    "kUnbounded": "the value is unbounded, which cannot be: report this with the input",
    "kObjectiveBound": "an objective bound stopped the solver, but none was set: report this",
    "kObjectiveTarget": "an objective target stopped the solver, but none was set: report this",
    "kTimeLimit": "raise time_limit, or use a smaller vocabulary (top_k)",
    "kIterationLimit": "the solver ran out of iterations; use a smaller vocabulary (top_k)",
    "kUnknown": "the solver cannot tell; use a smaller vocabulary (top_k)",
    "kSolutionLimit": "a solution limit stopped the solver, but none was set: report this",
    "kInterrupt": "the solver was interrupted; run it again",
    "kHighsInterrupt": "the solver was interrupted; run it again",
    "kMemoryLimit": "out of memory; use a smaller vocabulary (top_k) or fewer drafts",
}
"""What to do about every HiGHS model status that is not a result."""


@dataclass(frozen=True)
class LinearProgram:
    """Minimise cost x over column_lower <= x <= column_upper, A x <= row_upper.

    Attributes:
        cost: shape (columns,).
        column_upper: shape (columns,); every column is at least 0.
        row_lower: shape (rows,), -inf where a row has no lower limit.
        row_upper: shape (rows,).
        start: where a column begins in `row` and `value`, shape (columns + 1,).
        row: row of each nonzero.
        value: value of each nonzero.
    """

    cost: FloatArray
    column_upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    start: IntArray
    row: IntArray
    value: FloatArray


@dataclass(frozen=True)
class LinearSolution:
    """An optimal vertex: column values, row duals, HiGHS' status in words, and seconds taken."""

    columns: FloatArray
    row_duals: FloatArray
    status: str
    seconds: float


def solve_with_highs(program: LinearProgram, time_limit: float | None = None) -> LinearSolution:
    """Solve by the simplex method to an optimal vertex.

    Args:
        program: the program, column by column.
        time_limit: seconds, or None for no limit.

    Raises:
        InvalidSettingError: `time_limit` is not positive.
        UnsolvedError: HiGHS ended without an optimum; the message says in what state and what to
            do about it.

    Example:
        >>> program = LinearProgram(
        ...     cost=np.array([-1.0]), column_upper=np.array([np.inf]),
        ...     row_lower=np.array([-np.inf]), row_upper=np.array([3.0]),
        ...     start=np.array([0, 1]), row=np.array([0]), value=np.array([2.0]))
        >>> solve_with_highs(program).columns.tolist()
        [1.5]
    """
    if time_limit is not None and not time_limit > 0.0:
        raise InvalidSettingError(f"time_limit is {time_limit}: give seconds above 0, or None")
    import highspy  # a tenth of a second, which most programs that import the bounds need not pay

    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("solver", "simplex")
    solver.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    solver.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    solver.setOptionValue("small_matrix_value", SMALLEST_COEFFICIENT)
    if time_limit is not None:
        solver.setOptionValue("time_limit", float(time_limit))
    began = time.perf_counter()
    if solver.passModel(_highs_model(program)) == highspy.HighsStatus.kError:
        raise UnsolvedError(
            f"HiGHS refused the program of {len(program.cost)} columns and "
            f"{len(program.row_upper)} rows: {STATUS_ADVICE['kModelError']}"
        )
    solver.run()
    seconds = time.perf_counter() - began
    status = solver.getModelStatus()
    if status.name not in RESULT_STATUSES:
        raise UnsolvedError(unsolved_message(status.name, seconds))
    solution = solver.getSolution()
    return LinearSolution(
        np.array(solution.col_value),
        np.array(solution.row_dual),
        solver.modelStatusToString(status),
        seconds,
    )


def unsolved_message(status: str, seconds: float) -> str:
    """One line about a HiGHS model status that is no result, with advice.

    Example:
        >>> unsolved_message("kTimeLimit", 2.0)
        'HiGHS stopped after 2.0 s with status TimeLimit: raise time_limit, or use a smaller
        vocabulary (top_k)'
    """
    advice = STATUS_ADVICE.get(status, "a status unknown to this version; report it")
    return f"HiGHS stopped after {seconds:.1f} s with status {status.removeprefix('k')}: {advice}"


def _highs_model(program: LinearProgram) -> Any:
    import highspy

    model = highspy.HighsLp()
    model.num_col_ = len(program.cost)
    model.num_row_ = len(program.row_upper)
    model.col_cost_ = program.cost
    model.col_lower_ = np.zeros(len(program.cost))
    model.col_upper_ = program.column_upper
    model.row_lower_ = program.row_lower
    model.row_upper_ = program.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.num_col_ = len(program.cost)
    model.a_matrix_.num_row_ = len(program.row_upper)
    model.a_matrix_.start_ = program.start
    model.a_matrix_.index_ = program.row
    model.a_matrix_.value_ = program.value
    return model
