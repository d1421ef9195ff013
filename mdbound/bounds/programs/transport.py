"""The optimal-transport problem of a position: its size, its solution, and both bounds of it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.position import check_position
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.programs.draft_sets import DraftSets, count_pairs, draft_sets
from mdbound.errors import InvalidSettingError, UnsolvedError

GAP_TOLERANCE = 1e-9
"""A solver's plan is refused when it is further than this from the bound of its dual set: the error
that is promised. Less would refuse plans of interior-point solvers."""


@dataclass(frozen=True)
class TransportProblem:
    """Target p and the sets of tokens that can be drafted: maximise P(output in the set).

    Attributes:
        target: p, shape (V,).
        sets: the sets of distinct drafted tokens and their probabilities.
    """

    target: FloatArray
    sets: DraftSets


@dataclass(frozen=True)
class TransportSolution:
    """An optimal plan of the optimal-transport program and the dual set that proves it.

    Attributes:
        acceptance: value of the plan, 1 - sum of (p_I - p)+. A lower bound of alpha*, up to
            rounding.
        upper_bound: 1 + p(H) - F(H) at the dual set.
        sets: the sets of distinct drafted tokens, by size.
        flow: for each size r, shape (S_r, r): mass with which the set's tokens are selected; each
            row sums to the probability of the set.
        selected: p_I, shape (V,), the law of the selected token.
        subset: H, shape (V,), bool: the dual set.
        target: p, shape (V,).
        backend: solver and formulation.
        status: what the solver said.
        num_rows: constraints.
        num_columns: variables.
        num_nonzeros: matrix entries.
        seconds: time in the solver.
    """

    acceptance: float
    upper_bound: float
    sets: DraftSets
    flow: tuple[FloatArray, ...]
    selected: FloatArray
    subset: npt.NDArray[np.bool_]
    target: FloatArray
    backend: str
    status: str
    num_rows: int
    num_columns: int
    num_nonzeros: int
    seconds: float

    @property
    def gap(self) -> float:
        """Upper bound less the value of the plan: 0 up to rounding at an optimum."""
        return self.upper_bound - self.acceptance

    def coupling(self) -> tuple[FloatArray, ...]:
        """Mass with which the output is each token of the drafted set, shaped like `flow`.

        The selected token y is kept with probability min(1, p(y) / p_I(y)), as in single-draft
        speculative sampling. What the rows lack to the sets' masses is output from (p - p_I)+.
        """
        kept = np.ones_like(self.target)
        over = self.selected > self.target
        kept[over] = self.target[over] / self.selected[over]
        pairs = zip(self.flow, self.sets.members, strict=True)
        return tuple(flow * kept[members] for flow, members in pairs)


def transport_problem(
    target: npt.ArrayLike,
    draft: Any,
    num_drafts: int,
    sampling: str,
    *,
    bytes_per_entry: int,
    max_bytes: int | None = None,
) -> TransportProblem:
    """Check the input, refuse what does not fit in memory, and enumerate the drafted sets.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for `"independent"`.
        num_drafts: n.
        sampling: the draft law.
        bytes_per_entry: peak memory of the solver per (set, token) pair.
        max_bytes: refuse above this estimate; None takes half of the machine's memory.

    Raises:
        InvalidDistributionError: an array holds no distribution, or the sizes differ.
        InvalidSettingError: an unknown law or one without draft sets, a bad number, or a problem
            that is too large.

    Example:
        >>> problem = transport_problem(
        ...     [0.5, 0.5], [0.5, 0.5], 2, "without_replacement", bytes_per_entry=1000)
        >>> problem.sets.total()
        1.0
    """
    p, drafts = check_position(target, draft, num_drafts, sampling, "a linear program")
    entries = count_pairs(drafts, num_drafts, sampling) + len(p)
    _refuse_if_too_large(entries * bytes_per_entry, entries, max_bytes)
    return TransportProblem(p, draft_sets(drafts, num_drafts, sampling))


def _refuse_if_too_large(estimate: int, entries: int, max_bytes: int | None) -> None:
    limit = max_bytes
    if limit is None:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if estimate > limit:
        raise InvalidSettingError(
            f"the linear program has about {entries} variables and needs about {estimate} bytes, "
            f"above the limit of {limit}: cut the vocabulary (top_k), take fewer drafts, or use "
            "optimal_acceptance, which needs no linear program; max_bytes raises the limit"
        )


def finish(
    problem: TransportProblem,
    flow: Sequence[FloatArray],
    subset: npt.NDArray[np.bool_],
    *,
    backend: str,
    status: str,
    size: tuple[int, int, int],
    seconds: float,
) -> TransportSolution:
    """Evaluate a solver's plan and dual set from scratch and hold them against each other.

    The plan is clipped to what each set can give, so that its value is a true lower bound
    whatever the solver's tolerance was.

    Args:
        problem: what was solved.
        flow: for each set size r, shape (S_r, r): the solver's plan.
        subset: the solver's dual set H, shape (V,).
        backend: solver and formulation.
        status: what the solver said.
        size: rows, columns and nonzeros of the program.
        seconds: time in the solver.

    Raises:
        UnsolvedError: the two bounds are further apart than `GAP_TOLERANCE`.
    """
    p, sets = problem.target, problem.sets
    repaired = tuple(_repair(part, mass) for part, mass in zip(flow, sets.masses, strict=True))
    selected = np.zeros_like(p)
    for part, members in zip(repaired, sets.members, strict=True):
        np.add.at(selected, members, part)
    over = np.maximum(selected - p, 0.0)
    upper = 1.0 + (math.fsum(p[subset]) - sets.containment(subset))
    acceptance = 1.0 - math.fsum(over)
    if not abs(upper - acceptance) <= GAP_TOLERANCE:
        raise UnsolvedError(
            f"{backend} reached a plan of {acceptance!r} and a bound of {upper!r}, which differ by "
            f"more than {GAP_TOLERANCE}: use backend 'highs', or a smaller vocabulary (top_k)"
        )
    return TransportSolution(
        acceptance, upper, sets, repaired, selected, subset, p, backend, status, *size, seconds
    )


def _repair(flow: FloatArray, mass: FloatArray) -> FloatArray:
    """Nonnegative rows that sum to the mass: rows above it shrink, a shortfall is spread."""
    flow = np.maximum(flow, 0.0)
    given = flow.sum(axis=1)
    shrink = np.minimum(1.0, np.divide(mass, given, out=np.ones_like(mass), where=given > 0.0))
    flow = flow * shrink[:, None]
    short = np.maximum(mass - flow.sum(axis=1), 0.0)
    return np.asarray(flow + short[:, None] / flow.shape[1])
