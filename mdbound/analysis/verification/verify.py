"""Checking solved rows by roads that share no code with the solver.

Three checks, from strongest to widest:

- *certificate*: the optimum of the row's own problem at full vocabulary, enclosed in exact or ball
  arithmetic; and the row's own p(H*) and F(H*), which must give its acceptance.
- *linear program*: the solver against the optimal-transport program in HiGHS, on the row's most
  likely tokens.
- *second modelling layer*: the same in cvxpy with an interior-point solver, on a few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.verification.verify_rows import SolvedRow, sample_rows
from mdbound.bounds.programs.draft_sets import count_sets
from mdbound.bounds.programs.linear_program import Backend, optimal_acceptance_lp
from mdbound.bounds.programs.transport import GAP_TOLERANCE
from mdbound.bounds.proofs.certificate import make_certificate
from mdbound.errors import InvalidSettingError, MissingDependencyError, UnsolvedError
from mdbound.logits_cache.store.cache import LogitsCache

Floats = NDArray[np.float64]

REPRODUCED = 2.0**-46
"""Relative difference between probabilities from two float64 softmax kernels: a few ulps, times
the size of the logits' exponent. It moves an optimum by at most n + 1 times this."""

LARGEST_PROGRAM = {"highs": 4_000, "cvxpy": 300}
"""Most sets of drafted tokens of a program that is solved: larger programs check more of the
vocabulary and take longer, with the interior-point solver far longer."""

MOST_TOKENS = 200
"""Tokens of a program at most: with one draft `LARGEST_PROGRAM` alone would let thousands in, which
cost time and check nothing new."""

CERTIFICATE = "certificate"
OWN_SET = "own set"
CHECKS = (CERTIFICATE, OWN_SET, "highs", "cvxpy")


@dataclass(frozen=True)
class Failure:
    """A row that a check contradicts.

    Attributes:
        row: Position and setting.
        check: Which of `CHECKS`.
        claimed: The value checked.
        discrepancy: How far it is from the check's value.
        allowed: How far it may be.
    """

    row: str
    check: str
    claimed: float
    discrepancy: float
    allowed: float


@dataclass
class CheckSummary:
    """What one check found.

    Attributes:
        rows: Rows checked.
        worst: Largest discrepancy.
        worst_share: Largest discrepancy as a share of what was allowed there; above 1 is a
            failure.
        skipped: Rows not checked, by reason.
    """

    rows: int = 0
    worst: float = 0.0
    worst_share: float = 0.0
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """Outcome of `verify_results`.

    Attributes:
        rows: Rows drawn.
        checks: By name, in the order of `CHECKS`.
        failures: Every contradiction.
    """

    rows: int
    checks: dict[str, CheckSummary]
    failures: Sequence[Failure]

    @property
    def passed(self) -> bool:
        """Whether no check contradicts a row."""
        return not self.failures


def verify_results(
    results: Path | str,
    cache: LogitsCache,
    *,
    rows: int = 200,
    cvxpy_rows: int = 5,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a random sample of solved rows; see the module for how.

    Args:
        results: File written by `solve`.
        cache: The capture it was solved from.
        rows: Bound rows to draw.
        cvxpy_rows: How many of them are checked with cvxpy as well.
        seed: Seed of the draw.
        on_progress: Called with rows done and rows drawn at most.

    Raises:
        InvalidSettingError: `rows` below 1, `cvxpy_rows` below 0, or another capture.
        CacheError: Results or capture are damaged, or do not belong together.

    A row that a check cannot settle is counted in its summary, with the reason.
    """
    if seed < 0:
        raise InvalidSettingError(f"`seed` {seed}: give 0 or more")
    if cvxpy_rows < 0:
        raise InvalidSettingError(f"`cvxpy_rows` {cvxpy_rows}: give 0 or more")
    record = _Record()
    done = 0
    for row in sample_rows(open_results(results), cache, rows, seed):
        _check_certificate(row, record)
        _check_own_set(row, record)
        _check_program(row, "highs", record)
        if done < cvxpy_rows:
            _check_program(row, "cvxpy", record)
        done += 1
        if on_progress is not None:
            on_progress(done, rows)
    return Verification(done, record.checks, record.failures)


class _Record:
    """Collects discrepancies."""

    def __init__(self) -> None:
        self.checks = {name: CheckSummary() for name in CHECKS}
        self.failures: list[Failure] = []

    def add(
        self, row: SolvedRow, check: str, claimed: float, discrepancy: float, allowed: float
    ) -> None:
        summary = self.checks[check]
        summary.rows += 1
        # NaN compares as a failure.
        if not discrepancy <= allowed:
            self.failures.append(Failure(row.name, check, claimed, discrepancy, allowed))
        summary.worst = float(np.fmax(summary.worst, discrepancy))
        summary.worst_share = float(np.fmax(summary.worst_share, discrepancy / allowed))

    def skip(self, check: str, reason: str) -> None:
        skipped = self.checks[check].skipped
        skipped[reason] = skipped.get(reason, 0) + 1


def _check_certificate(row: SolvedRow, record: _Record) -> None:
    problem = row.target, row.draft
    try:
        # Any set gives an upper bound. This one is found by what `solve` has compiled, or sorting.
        subset = bounds.draft_law(row.sampling).optimal_subset(*problem, row.num_drafts)
        certificate = make_certificate(*problem, row.num_drafts, row.sampling, subset)
        interval = certificate.check(*problem)
    except (MissingDependencyError, UnsolvedError) as error:
        record.skip(CERTIFICATE, str(error))
        return
    allowed = row.error_bound + interval.width + (row.num_drafts + 1) * REPRODUCED
    record.add(row, CERTIFICATE, row.acceptance, interval.error_of(row.acceptance), allowed)


def _check_own_set(row: SolvedRow, record: _Record) -> None:
    """1 + p(H*) - F(H*) from the row's own columns."""
    value = 1.0 + (row.target_mass - row.containment)
    allowed = row.error_bound + (row.num_drafts + 1) * REPRODUCED
    record.add(row, OWN_SET, row.acceptance, abs(value - row.acceptance), allowed)


def _check_program(row: SolvedRow, backend: Backend, record: _Record) -> None:
    problem = _most_likely(row, LARGEST_PROGRAM[backend])
    if problem is None:
        record.skip(backend, f"no vocabulary is small enough for {row.num_drafts} drafts")
        return
    solved = float(bounds.optimal_acceptance(*problem, row.num_drafts, row.sampling))
    try:
        value = optimal_acceptance_lp(*problem, row.num_drafts, row.sampling, backend)
    except (MissingDependencyError, UnsolvedError) as error:
        record.skip(backend, str(error))
        return
    record.add(row, backend, solved, abs(value - solved), GAP_TOLERANCE)


def _most_likely(row: SolvedRow, largest: int) -> tuple[Floats, Any] | None:
    """Target and draft on as many of their likeliest tokens as a program may have."""
    several = isinstance(row.draft, list)
    drafts = np.stack(row.draft if several else [row.draft])
    order = np.argsort(-(row.target + drafts.sum(axis=0)), kind="stable")
    for size in range(min(MOST_TOKENS, len(order)), 1, -1):
        counts = count_sets(np.ones((1, size)), row.num_drafts, row.sampling)
        if sum(counts.values()) <= largest:
            break
    else:
        return None
    kept = order[:size]
    masses = drafts[:, kept].sum(axis=1)
    if row.target[kept].sum() <= 0.0 or (masses <= 0.0).any():
        return None
    p = row.target[kept] / row.target[kept].sum()
    q = drafts[:, kept] / masses[:, None]
    return p, list(q) if several else q[0]
