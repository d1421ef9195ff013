"""Checking results of `solve`: the file as a whole, and rows by roads that share no code with it.

- *rows*: every row of the run is there, once, and nothing else; values can be what their columns
  hold (`inventory`). Of the whole file, always.
- *columns*: the row solved again is the same in every column (`reproduced`): nothing was changed.
- *certificate*: the optimum of the row's own problem at full vocabulary, enclosed in exact or ball
  arithmetic; of a scheme's row, that it is not above the optimum.
- *own set*: the row's own p(H*) and F(H*) give its acceptance.
- *entropy*: of the target, summed exactly.
- *highs*: the solver against the optimal-transport program in HiGHS, on the row's most likely
  tokens.
- *cvxpy*: the same in cvxpy with an interior-point solver, on a few rows.

Nothing is taken from the file that is checked, least of all the error that it states: what a value
may be off by is the error of the row solved again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds
from mdbound.analysis.solving.results import Results, open_results
from mdbound.analysis.verification.inventory import wrong_rows
from mdbound.analysis.verification.outcome import Record, Verification
from mdbound.analysis.verification.reproduced import changed_columns
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

MOST_CERTIFIED = {"without_replacement": 8}
"""Drafts up to which certificates of a law are made: beyond, a row can take minutes."""

ROWS = "rows"
COLUMNS = "columns"
CERTIFICATE = "certificate"
OWN_SET = "own set"
ENTROPY = "entropy"
CHECKS = (ROWS, COLUMNS, CERTIFICATE, OWN_SET, ENTROPY, "highs", "cvxpy")

ENTROPY_ROUNDING = 1e-12
"""Relative, of an entropy from another softmax kernel; a sum of positive terms."""

STANDARD_ERRORS = 6.0
"""Of an estimated rate, by which it may be above the optimum: one row in a billion is."""


def verify_results(
    results: Path | str,
    cache: LogitsCache,
    *,
    rows: int | None = 200,
    cvxpy_rows: int = 5,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a random sample of solved rows; see the module for how.

    Args:
        results: File written by `solve`.
        cache: The capture it was solved from.
        rows: Rows to draw, solved or not; None for all of them. The file as a whole is always
            looked at.
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
    record = Record(CHECKS)
    opened = open_results(results)
    total = opened.height()
    drawn = sample_rows(opened, cache, rows, seed)
    expected = total if rows is None else min(rows, total)
    _check_all_rows(opened, cache, total, record)
    done = bound_rows = 0
    for row in drawn:
        _check_columns(row, record)
        _check_entropy(row, record)
        _check_certificate(row, record)
        if row.is_bound and row.claimed["acceptance"] is not None:
            _check_own_set(row, record)
            _check_program(row, "highs", record)
            if bound_rows < cvxpy_rows:
                _check_program(row, "cvxpy", record)
            bound_rows += 1
        done += 1
        if on_progress is not None:
            on_progress(done, expected)
    return Verification(done, record.checks, record.failures, total)


def missing_extras(results: Path | str, cvxpy_rows: int) -> list[str]:
    """What checks of a file will be skipped for want of a package, known before anything is run.

    Args:
        results: File written by `solve`.
        cvxpy_rows: As of `verify_results`.

    Returns:
        A line for each package that is not installed.

    Raises:
        CacheError: The file is missing or damaged.
    """
    settings = open_results(results).provenance.settings
    in_balls = any(
        each.get("sampling") == "without_replacement" and max(each.get("num_drafts", [0])) >= 3
        for each in settings
    )
    found = []
    if in_balls and find_spec("flint") is None:
        found.append(
            "python-flint is not installed: rows without replacement of 3 drafts and more get no "
            "certificate; install mdbound[certificates]"
        )
    if cvxpy_rows and find_spec("cvxpy") is None:
        found.append("cvxpy is not installed: its check is left out; install mdbound[lp]")
    return found


def _check_all_rows(results: Results, cache: LogitsCache, total: int, record: Record) -> None:
    record.checks[ROWS].rows = total
    for line in wrong_rows(results, cache):
        record.contradict(line, ROWS, "the file")


def _check_columns(row: SolvedRow, record: Record) -> None:
    summary = record.checks[COLUMNS]
    changed = list(changed_columns(row.claimed, row.again))
    summary.rows += 1
    for name, off, _ in changed:
        record.contradict(row.name, COLUMNS, name, off)


def _check_entropy(row: SolvedRow, record: Record) -> None:
    mass = row.target[row.target > 0.0]
    entropy = -math.fsum(mass * np.log(mass))
    claimed = row.claimed["target_entropy"]
    value = math.nan if claimed is None else float(claimed)
    allowed = ENTROPY_ROUNDING * entropy + 1e-15
    record.add(row.name, ENTROPY, value, abs(value - entropy), allowed)


def _stated_error(row: SolvedRow) -> float:
    """Of the row solved again; of one that fails there, none: nothing is allowed."""
    error = row.again["error_bound"]
    return 0.0 if error is None else float(error)


def _check_certificate(row: SolvedRow, record: Record) -> None:
    if row.claimed["acceptance"] is None:
        record.skip(CERTIFICATE, "the row is not solved, nor when solved again")
        return
    if not row.is_bound and _drafts_of_its_own(row):
        record.skip(CERTIFICATE, "the scheme drafts from another law than the draft's")
        return
    most = MOST_CERTIFIED.get(row.sampling, row.num_drafts)
    if row.num_drafts > most:
        record.skip(CERTIFICATE, f"certificates of {row.sampling} are made up to n = {most}")
        return
    problem = row.target, row.draft
    law = "independent" if row.setting.has_several_distributions else row.sampling
    try:
        # Any set gives an upper bound. This one is found by what `solve` has compiled, or sorting.
        subset = _SUBSETS.get(law, bounds.draft_law(law).optimal_subset)(*problem, row.num_drafts)
        certificate = make_certificate(*problem, row.num_drafts, law, subset)
        interval = certificate.check(*problem)
    except (MissingDependencyError, UnsolvedError) as error:
        record.skip(CERTIFICATE, str(error))
        return
    claimed = float(row.claimed["acceptance"])
    rounding = interval.width + (row.num_drafts + 1) * REPRODUCED
    if row.is_bound:
        allowed = _stated_error(row) + rounding
        record.add(row.name, CERTIFICATE, claimed, interval.error_of(claimed), allowed)
        return
    above = max(0.0, claimed - float(interval.upper))
    allowed = STANDARD_ERRORS * float(row.again["standard_error"] or 0.0) + rounding + 1e-12
    record.add(row.name, CERTIFICATE, claimed, above, allowed)


def _greedy_subset(p: Floats, q: Floats, num_drafts: int) -> NDArray[np.bool_]:
    """The certain drafts, and of the others those that are drawn more often than wanted.

    By sorting: the law's own way has kernels that `solve` does not need.
    """
    order = np.argsort(-q, kind="stable")
    top = order[: num_drafts - 1]
    rest = q.copy()
    rest[top] = 0.0
    total = math.fsum(rest)
    subset = np.zeros(len(q), dtype=np.bool_)
    if total > 0.0:
        subset = p < rest / total
        if not subset.any():
            return subset
    subset[top[q[top] > 0.0]] = True
    return subset if math.fsum(p[subset]) < 1.0 else np.zeros_like(subset)


_SUBSETS: dict[str, Callable[[Floats, Any, int], NDArray[np.bool_]]] = {"greedy": _greedy_subset}
"""Sets of laws whose own search would be compiled here for the first time."""


def _drafts_of_its_own(row: SolvedRow) -> bool:
    return dict(row.setting.scheme_options).get("alphabet_size") is not None


def _check_own_set(row: SolvedRow, record: Record) -> None:
    """1 + p(H*) - F(H*) from the row's own columns."""
    acceptance, mass, containment = (
        math.nan if row.claimed[name] is None else float(row.claimed[name])
        for name in ("acceptance", "target_mass", "containment")
    )
    value = 1.0 + (mass - containment)
    allowed = _stated_error(row) + (row.num_drafts + 1) * REPRODUCED
    record.add(row.name, OWN_SET, acceptance, abs(value - acceptance), allowed)


def _check_program(row: SolvedRow, backend: Backend, record: Record) -> None:
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
    record.add(row.name, backend, solved, abs(value - solved), GAP_TOLERANCE)


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
