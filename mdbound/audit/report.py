"""What an audit found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mdbound.audit.numbers import written


@dataclass(frozen=True)
class Witness:
    r"""The smallest problem found on which a rule goes wrong.

    Attributes:
        problem: name of the problem that it was shrunk from.
        given: the problem, ready for JSON: rows as fractions in texts.
        output: the output that is off: a token, a text, or the drafts whose law is none.
        expected: its probability under the target; None where the rule's own law is malformed.
        found: its probability under the rule; None likewise.
        reason: what is wrong, in words.

    Example:
        >>> Witness("p", {"target": ["1"]}, "token 0", Fraction(1), Fraction(1, 2), "off").text()
        'p: off\n  target: 1\n  token 0: 1/2, must be 1'
    """

    problem: str
    given: Mapping[str, Any]
    output: str
    expected: Fraction | None
    found: Fraction | None
    reason: str

    def text(self) -> str:
        """Several lines for a terminal."""
        lines = [f"{self.problem}: {self.reason}"]
        lines += [f"  {name}: {_shown(value)}" for name, value in self.given.items()]
        if self.expected is not None and self.found is not None:
            lines.append(
                f"  {self.output}: {written(self.found)}, must be {written(self.expected)}"
            )
        else:
            lines.append(f"  at {self.output}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "problem": self.problem,
            "reason": self.reason,
            "given": dict(self.given),
            "output": self.output,
            "expected": None if self.expected is None else written(self.expected),
            "found": None if self.found is None else written(self.found),
        }


@dataclass(frozen=True)
class ProblemResult:
    """One problem of the battery.

    Attributes:
        name: of the problem.
        total_variation: of the output from the target; exact, or an estimate of a sampled rule.
        accepted: drafted tokens among the output: a probability at one position, expected tokens
            of a path or tree.
        bound: the most that a lossless rule accepts; None where it was not computed.
        runs: of a sampled rule; 0 for an exact law.

    Example:
        >>> ProblemResult("p", 0.1, 0.8, 0.75).above_bound
        True
    """

    name: str
    total_variation: float
    accepted: float
    bound: float | None
    runs: int = 0

    @property
    def above_bound(self) -> bool:
        """Whether more is accepted than any lossless rule accepts (beyond rounding)."""
        return not self.runs and self.bound is not None and self.accepted > self.bound + 1e-9


@dataclass(frozen=True)
class AuditReport:
    """Whether a rule is lossless.

    Attributes:
        lossless: True, False, or None where what was given cannot say.
        total_variation: the largest over the problems.
        witness: where it goes wrong; None for a lossless rule.
        problems: each problem that was looked at, in order.
        statement: what was done, and what it can and cannot find.

    Example:
        >>> print(AuditReport(True, 0.0, None, (), "nothing was asked"))
        lossless: nothing was asked
    """

    lossless: bool | None
    total_variation: float
    witness: Witness | None = None
    problems: tuple[ProblemResult, ...] = ()
    statement: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """In words.

        Example:
            >>> AuditReport(None, 0.0).verdict
            'cannot say'
        """
        return {True: "lossless", False: "NOT LOSSLESS", None: "cannot say"}[self.lossless]

    @property
    def above_bound(self) -> tuple[str, ...]:
        """Names of the problems on which more is accepted than any lossless rule accepts."""
        return tuple(each.name for each in self.problems if each.above_bound)

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.statement}"]
        if self.witness is not None:
            lines.append(self.witness.text())
        if above := self.above_bound:
            lines.append(f"accepts more than any lossless rule on: {', '.join(above)}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON.

        Example:
            >>> AuditReport(True, 0.0).as_dict()["lossless"]
            True
        """
        return {
            "lossless": self.lossless,
            "total_variation": self.total_variation,
            "statement": self.statement,
            "witness": None if self.witness is None else self.witness.as_dict(),
            "problems": [
                {
                    "name": each.name,
                    "total_variation": each.total_variation,
                    "accepted": each.accepted,
                    "bound": each.bound,
                    "runs": each.runs,
                }
                for each in self.problems
            ],
            "above_bound": list(self.above_bound),
            **self.details,
        }


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name or 'start'}: {_shown(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(
            _shown(each) if isinstance(each, str | int) else f"({_shown(each)})" for each in value
        )
    return str(value)
