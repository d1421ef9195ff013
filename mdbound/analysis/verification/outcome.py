"""What a verification found: contradictions, and how much each check looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Failure:
    """A row that a check contradicts.

    Attributes:
        row: Position and setting; of the check of all rows what is wrong with them.
        check: Name of the check.
        claimed: The value checked, or what its column is called.
        discrepancy: How far it is from the check's value.
        allowed: How far it may be.
    """

    row: str
    check: str
    claimed: float | str
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
    """Outcome of a verification.

    Attributes:
        rows: Rows drawn.
        checks: By name.
        failures: Every contradiction.
        total: Rows of the file.
    """

    rows: int
    checks: dict[str, CheckSummary]
    failures: Sequence[Failure]
    total: int = 0

    @property
    def power(self) -> float:
        """Probability that a single row that is wrong was drawn.

        Example:
            >>> Verification(200, {}, [], 20_000).power
            0.01
        """
        return self.rows / self.total if self.total else 0.0

    @property
    def passed(self) -> bool:
        """Whether no check contradicts a row."""
        return not self.failures


class Record:
    """Collects discrepancies.

    Args:
        checks: Names of the checks, in the order of output.
    """

    def __init__(self, checks: Sequence[str]) -> None:
        self.checks = {name: CheckSummary() for name in checks}
        self.failures: list[Failure] = []

    def add(
        self, row: str, check: str, claimed: float | str, discrepancy: float, allowed: float
    ) -> None:
        """Count a row, and keep it where the discrepancy is above what is allowed."""
        summary = self.checks[check]
        summary.rows += 1
        # NaN compares as a failure.
        if not discrepancy <= allowed:
            self.failures.append(Failure(row, check, claimed, discrepancy, allowed))
        summary.worst = float(np.fmax(summary.worst, discrepancy))
        share = discrepancy / allowed if allowed > 0.0 else float(discrepancy > 0.0) * np.inf
        summary.worst_share = float(np.fmax(summary.worst_share, np.nan_to_num(share)))

    def contradict(self, row: str, check: str, claimed: str, discrepancy: float = math.inf) -> None:
        """Keep what is wrong however small it is, of a row that is counted already."""
        summary = self.checks[check]
        self.failures.append(Failure(row, check, claimed, discrepancy, 0.0))
        summary.worst = max(summary.worst, discrepancy)
        summary.worst_share = math.inf

    def skip(self, check: str, reason: str) -> None:
        """Count a row that a check cannot settle."""
        skipped = self.checks[check].skipped
        skipped[reason] = skipped.get(reason, 0) + 1
