"""Linear programs against brute force over all subsets, for every law and on hard cases."""

from __future__ import annotations

import sys

import highspy
import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.programs import linear_program
from mdbound.bounds.programs.draft_sets import count_sets, draft_sets
from mdbound.bounds.programs.importance_sampling import importance_sampling_lp
from mdbound.bounds.programs.linear_program import optimal_acceptance_lp, solve_transport
from mdbound.bounds.programs.lp_backends import RESULT_STATUSES, STATUS_ADVICE, unsolved_message
from mdbound.bounds.programs.transport import TransportSolution
from mdbound.errors import (
    InvalidDistributionError,
    InvalidSettingError,
    MissingDependencyError,
    UnsolvedError,
)
from tests.hard_rows import random_case
from tests.oracles.acceptance_over_all_sets import optimum
from tests.oracles.drafted_tuples import tuple_law

LAWS = ("with_replacement", "without_replacement", "greedy", "independent")


def check_plan(solution: TransportSolution, expected: float) -> None:
    """The plan is a coupling of the drafted sets and p, and both bounds are the optimum."""
    assert solution.acceptance == pytest.approx(expected, abs=1e-9)
    assert solution.upper_bound == pytest.approx(expected, abs=1e-13)
    served = np.zeros(len(solution.target))
    for members, mass, part in zip(
        solution.sets.members, solution.sets.masses, solution.coupling(), strict=True
    ):
        assert part.min() >= 0.0
        assert (part.sum(axis=1) <= mass * (1 + 1e-12)).all()
        np.add.at(served, members, part)
    assert (served <= solution.target * (1 + 1e-12)).all()
    assert served.sum() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(25))
def test_highs_programs_reach_the_brute_force_optimum(seed: int, sampling: str) -> None:
    p, drafts, n = random_case(seed)
    draft = drafts if sampling == "independent" else drafts[0]
    expected = float(optimum(p, tuple_law(drafts, n, sampling)))
    solution = solve_transport(p, draft, n, sampling)
    check_plan(solution, expected)
    assert solution.acceptance == pytest.approx(expected, abs=1e-13)
    assert solution.gap == pytest.approx(0.0, abs=1e-13)
    check_plan(importance_sampling_lp(p, draft, n, sampling), expected)


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(5))
def test_cvxpy_agrees(seed: int, sampling: str) -> None:
    pytest.importorskip("cvxpy")
    p, drafts, n = random_case(seed)
    draft = drafts if sampling == "independent" else drafts[0]
    solution = solve_transport(p, draft, n, sampling, "cvxpy")
    check_plan(solution, float(optimum(p, tuple_law(drafts, n, sampling))))
    assert solution.backend == "cvxpy"


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("seed", range(15))
def test_draft_sets_merge_the_tuples(seed: int, sampling: str) -> None:
    _, drafts, n = random_case(seed)
    rows = np.stack(drafts) if sampling == "independent" else drafts[0][None]
    merged: dict[frozenset[int], float] = {}
    for drafted, weight in tuple_law(drafts, n, sampling).items():
        merged[frozenset(drafted)] = merged.get(frozenset(drafted), 0.0) + weight
    sets = draft_sets(rows, n, sampling)
    built = {
        frozenset(members.tolist()): float(mass)
        for group, masses in sets.groups()
        for members, mass in zip(group, masses, strict=True)
    }
    for drafted, weight in merged.items():
        assert built.pop(drafted, 0.0) == pytest.approx(weight, rel=1e-12, abs=1e-300)
    assert not built
    assert sets.total() == pytest.approx(1.0, abs=1e-14)
    bound = count_sets(rows, n, sampling)
    for members, mass in sets.groups():
        assert len(mass) <= bound[members.shape[1]]


def test_published_rational_values() -> None:
    two = optimal_acceptance_lp([0.618, 0.354, 0.028], [0.373, 0.58, 0.047], 2)
    assert two == pytest.approx(988871 / 1000000, abs=1e-14)
    three = optimal_acceptance_lp([0.469, 0.124, 0.407], [0.201, 0.275, 0.524], 3)
    assert three == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(("vocabulary", "num_drafts"), [(300, 2), (25, 3), (14, 4)])
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_larger_programs_agree_with_the_subset_formula(
    vocabulary: int, num_drafts: int, sampling: str
) -> None:
    rng = np.random.default_rng(vocabulary)
    logits = 2.0 * rng.normal(size=vocabulary)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.7 * logits + rng.normal(size=vocabulary))
    expected = bounds.optimal_acceptance(p, q, num_drafts, sampling)
    solution = solve_transport(p, q, num_drafts, sampling)
    assert solution.acceptance == pytest.approx(expected, abs=1e-12)
    assert solution.seconds > 0.0
    assert solution.status == "Optimal"


def test_a_program_too_large_is_refused_before_it_is_built() -> None:
    flat = np.full(50_000, 1 / 50_000)
    with pytest.raises(InvalidSettingError, match=r"needs about \d+ bytes.*top_k"):
        optimal_acceptance_lp(flat, flat, 4)
    with pytest.raises(InvalidSettingError, match="above the limit of 1000"):
        optimal_acceptance_lp([0.5, 0.5], [0.5, 0.5], 2, max_bytes=1000)


def test_every_solver_status_is_a_result_or_has_advice() -> None:
    names = {name for name in dir(highspy.HighsModelStatus) if name.startswith("k")}
    names |= {status.name for status in highspy.HighsModelStatus.__members__.values()}
    assert names == set(RESULT_STATUSES) | set(STATUS_ADVICE)
    for name in names - set(RESULT_STATUSES):
        assert STATUS_ADVICE[name] in unsolved_message(name, 1.0)


def test_a_time_limit_ends_in_an_error_not_in_a_number() -> None:
    q = bounds.distribution_from_logits(np.random.default_rng(0).normal(size=250))
    p = bounds.distribution_from_logits(np.random.default_rng(1).normal(size=250))
    with pytest.raises(UnsolvedError, match="TimeLimit: raise time_limit"):
        optimal_acceptance_lp(p, q, 2, time_limit=1e-9)


def test_a_wrong_plan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = linear_program.solve_with_highs

    def lying(*arguments: object) -> object:
        solved = solve(*arguments)
        solved.row_duals[:] = 0.0
        return solved

    monkeypatch.setattr(linear_program, "solve_with_highs", lying)
    with pytest.raises(UnsolvedError, match="differ by more than"):
        optimal_acceptance_lp([0.9, 0.1], [0.1, 0.9], 2)


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    half = [0.5, 0.5]
    with pytest.raises(InvalidSettingError, match="backend is 'glpk'"):
        optimal_acceptance_lp(half, half, 2, backend="glpk")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="with_replacement"):
        optimal_acceptance_lp(half, half, 2, "with_replacemnt")
    with pytest.raises(InvalidSettingError, match="time_limit is 0"):
        optimal_acceptance_lp(half, half, 2, time_limit=0.0)
    with pytest.raises(InvalidDistributionError, match="one position, not 2 rows"):
        optimal_acceptance_lp([half, half], half, 2)
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(MissingDependencyError, match=r"mdbound\[lp\]"):
        optimal_acceptance_lp(half, half, 2, backend="cvxpy")
