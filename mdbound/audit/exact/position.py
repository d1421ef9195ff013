"""One position: is the output of a rule distributed as the target, over all drafts?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeAlias

from mdbound.audit.calls import Numbers, call, rows_for
from mdbound.audit.exact.finding import TOLERANCE, Audited, Finding, malformed
from mdbound.audit.exact.laws import FaultyLawError, read_law, token_reader
from mdbound.audit.exact.shrink import merged, row_size, simple_rows
from mdbound.audit.numbers import written
from mdbound.audit.problems.positions import (
    HUB_PAIRS,
    INDEPENDENT,
    PositionProblem,
    Row,
    position_problems,
)
from mdbound.audit.report import AuditReport

OutputLaw: TypeAlias = Callable[[Any, Any, tuple[int, ...]], Any]
"""From target, draft and the drafted tokens to {token: probability}, or a row of V."""


def exact(
    output_law: OutputLaw,
    num_drafts: int = 2,
    sampling: str = "with_replacement",
    *,
    numbers: Numbers = "float",
    tolerance: float = TOLERANCE,
    problems: Sequence[PositionProblem] | None = None,
) -> AuditReport:
    """Audit a rule at one position, given its probabilities.

    A rule is lossless iff its output laws, averaged over the drafts, are the target. All lists of
    drafts are enumerated, and sums are exact.

    Args:
        output_law: `output_law(target, draft, drafted) -> {token: probability}`: rows (V,), the
            tokens in the order drafted; undrafted tokens included, a sum of 1. For
            `"independent"`, `draft` is a list with a row for each drafted token.
        num_drafts: n, 1 to 4. Where a support ends, fewer are drafted.
        sampling: how the tokens are drawn: `"with_replacement"`, `"without_replacement"`,
            `"greedy"`, `"independent"`, or `"hub_pairs"` (SpecHub).
        numbers: rows as `"float"` (float64 arrays) or `"fraction"` (tuples of Fraction).
        tolerance: largest total variation that is taken for rounding.
        problems: instead of the battery.

    Returns:
        A report; `lossless` is True or False. Each problem says what is accepted (the output is a
        drafted token) beside the most that a lossless rule accepts.

    Raises:
        AuditError: the rule raised.
        InvalidSettingError: an unknown law, or a number of drafts that the battery does not have.

    Example:
        >>> from mdbound import audit, schemes
        >>> audit.exact(schemes.get("rrs_with_replacement").output_law).lossless
        True
        >>> report = audit.exact(lambda target, draft, drafted: {drafted[0]: 1.0})
        >>> report.lossless, report.witness.given["drafts"]
        (False, [['0', '1']])
    """
    chosen = position_problems(num_drafts, sampling) if problems is None else tuple(problems)
    least = Fraction(tolerance)
    kind = position_audit(lambda problem: examine(output_law, problem, numbers, least), smaller)
    return kind.audit(chosen, tolerance, "problems of one position")


def position_audit(
    examined: Callable[[PositionProblem], Finding],
    candidates: Callable[[PositionProblem], Iterable[PositionProblem]],
) -> Audited[PositionProblem]:
    """How rules of one position are audited.

    Args:
        examined: what a rule does on a problem.
        candidates: smaller problems to look for a witness among.
    """
    return Audited(examined, candidates, _size, lambda problem: problem.bound, position_given)


def examine(
    output_law: OutputLaw, problem: PositionProblem, numbers: Numbers, tolerance: Fraction
) -> Finding:
    """What a rule does on one problem, summed over all lists of drafts."""
    size = len(problem.target)
    target = rows_for(problem.target, numbers)
    drafts = [rows_for(row, numbers) for row in problem.drafts]
    draft = drafts if problem.sampling == INDEPENDENT else drafts[0]
    output = [Fraction(0)] * size
    accepted = Fraction(0)
    for drafted, mass in problem.lists:
        where = f"drafted {' '.join(map(str, drafted))}"
        found = call(output_law, (target, draft, drafted), f"{problem.name}, {where}")
        try:
            law = read_law(found, token_reader(size), tolerance)
        except FaultyLawError as error:
            return malformed(where, str(error))
        for token, share in law.items():
            output[token] += mass * share
            accepted += mass * share if token in drafted else 0
    gaps = [mine - wanted for mine, wanted in zip(output, problem.target, strict=True)]
    furthest = max(range(size), key=lambda token: abs(gaps[token]))
    return Finding(
        sum(map(abs, gaps), Fraction(0)) / 2,
        accepted,
        f"token {furthest}",
        problem.target[furthest],
        output[furthest],
    )


def _size(problem: PositionProblem) -> tuple[Any, ...]:
    digits = row_size(problem.target) + sum(map(row_size, set(problem.drafts)))
    return len(problem.drafts), len(problem.target), digits


def smaller(problem: PositionProblem) -> Iterable[PositionProblem]:
    """Fewer drafts, fewer tokens, simpler rows; rows stay rows, lists stay possible."""
    if len(problem.drafts) > (2 if problem.sampling == HUB_PAIRS else 1):
        yield replace(problem, drafts=problem.drafts[:-1])
    size = len(problem.target)
    if size > 2:
        for token in range(size - 1, -1, -1):
            for into in (other for other in range(size) if other != token):
                yield replace(
                    problem,
                    target=merged(problem.target, token, into),
                    drafts=tuple(merged(row, token, into) for row in problem.drafts),
                )
    for row in simple_rows(size):
        yield replace(problem, target=row)
    for drafts in _simpler_drafts(problem, size):
        if problem.sampling != HUB_PAIRS or max(drafts[0]) < 1:
            yield replace(problem, drafts=drafts)


def _simpler_drafts(problem: PositionProblem, size: int) -> Iterable[tuple[Row, ...]]:
    for row in simple_rows(size):
        if problem.sampling != INDEPENDENT:
            yield (row,) * len(problem.drafts)
            continue
        for place in range(len(problem.drafts)):
            yield (*problem.drafts[:place], row, *problem.drafts[place + 1 :])


def position_given(problem: PositionProblem) -> Mapping[str, Any]:
    """A problem ready for JSON.

    Example:
        >>> position_given(position_problems(1)[0])["target"]
        ['1/2', '5/16', '3/16']
    """
    drafts = problem.drafts if problem.sampling == INDEPENDENT else problem.drafts[:1]
    return {
        "target": [written(mass) for mass in problem.target],
        "drafts": [[written(mass) for mass in row] for row in drafts],
        "num_drafts": len(problem.drafts),
        "sampling": problem.sampling,
    }
