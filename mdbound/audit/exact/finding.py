"""What a rule does on one problem, and the audit of a whole battery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, Protocol, TypeVar

from mdbound.audit.exact.shrink import shrink
from mdbound.audit.numbers import written
from mdbound.audit.report import AuditReport, ProblemResult, Witness
from mdbound.errors import AuditError

TOLERANCE = 1e-9
"""Largest total variation of a rule in float64: its rounding is near 1e-15, faults near 1e-2."""


class Problem(Protocol):
    """What every problem has."""

    @property
    def name(self) -> str:
        """What is special about it."""


P = TypeVar("P", bound=Problem)


@dataclass(frozen=True)
class Finding:
    """What a rule does on one problem.

    Attributes:
        total_variation: of its output from the target; 1 where its law is none.
        accepted: drafted tokens among the output.
        output: the output that is furthest off, or the drafts whose law is none.
        expected: probability of the output under the target; None where the law is none.
        found: its probability under the rule; None likewise.
        reason: what is wrong.
    """

    total_variation: Fraction
    accepted: Fraction
    output: str = ""
    expected: Fraction | None = None
    found: Fraction | None = None
    reason: str = "the output does not have the target's law"


def malformed(where: str, reason: str) -> Finding:
    """The finding on a law that is none.

    Example:
        >>> malformed("drafted 0 1", "it sums to 2").total_variation
        Fraction(1, 1)
    """
    return Finding(Fraction(1), Fraction(0), where, reason=f"the rule's law is none: {reason}")


@dataclass(frozen=True)
class Audited(Generic[P]):
    """One kind of audit: how a rule is examined, and how problems shrink.

    Attributes:
        examine: what the rule does on a problem.
        smaller: simpler problems to try, given one.
        size: what a smaller problem is smaller in.
        bound: the most that a lossless rule accepts; None where it is not known.
        given: a problem ready for JSON.
    """

    examine: Callable[[P], Finding]
    smaller: Callable[[P], Iterable[P]]
    size: Callable[[P], tuple[Any, ...]]
    bound: Callable[[P], Fraction | None]
    given: Callable[[P], Mapping[str, Any]]

    def audit(self, problems: Sequence[P], tolerance: float, what: str) -> AuditReport:
        """Examine every problem, and shrink the first that fails."""
        least = Fraction(tolerance)
        found = [(problem, self.examine(problem)) for problem in problems]
        results = tuple(self._result(problem, finding) for problem, finding in found)
        worst = max((finding.total_variation for _, finding in found), default=Fraction(0))
        failing = [problem for problem, finding in found if finding.total_variation > least]
        if not failing:
            exactly = "exactly" if worst == 0 else f"to {written(worst)} in total variation"
            statement = f"the output has the target's law {exactly}, on {len(problems)} {what}"
            return AuditReport(True, float(worst), None, results, statement)
        statement = (
            f"on {len(failing)} of {len(problems)} {what}; total variation up to {written(worst)}"
        )
        return AuditReport(
            False, float(worst), self._witness(failing[0], least), results, statement
        )

    def _result(self, problem: P, finding: Finding) -> ProblemResult:
        bound = self.bound(problem)
        return ProblemResult(
            problem.name,
            float(finding.total_variation),
            float(finding.accepted),
            None if bound is None else float(bound),
        )

    def _witness(self, problem: P, least: Fraction) -> Witness:
        def fails(candidate: P) -> bool:
            try:
                return self.examine(candidate).total_variation > least
            except AuditError:
                return False  # a rule may know the battery alone, as a table does

        smallest = shrink(problem, self.smaller, self.size, fails)
        finding = self.examine(smallest)
        return Witness(
            problem.name,
            self.given(smallest),
            finding.output,
            finding.expected,
            finding.found,
            finding.reason,
        )
