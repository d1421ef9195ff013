"""A linear program whose columns and rows are gathered in any order."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from mdbound.bounds.programs.lp_backends import LinearProgram, LinearSolution, solve_with_highs


class GatheredProgram:
    """Minimise the sum of costs over columns of 0 or more, subject to rows.

    Example:
        >>> program = GatheredProgram()
        >>> x = program.column(-1.0)
        >>> _ = program.row([(x, 2.0)], upper=3.0)
        >>> program.least(program.solve())
        -1.5
    """

    def __init__(self) -> None:
        self._costs: list[float] = []
        self._column_upper: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._entries: list[tuple[int, int, float]] = []

    def column(self, cost: float, upper: float = math.inf) -> int:
        """Add a column, and return its number."""
        self._costs.append(cost)
        self._column_upper.append(upper)
        return len(self._costs) - 1

    def row(
        self,
        terms: Iterable[tuple[int, float]],
        lower: float = -math.inf,
        upper: float = math.inf,
    ) -> int:
        """Add lower <= sum of value * column <= upper, and return its number.

        Args:
            terms: columns, each once, with their values.
            lower: least value of the sum.
            upper: largest value of the sum.
        """
        number = len(self._upper)
        self._entries += [(column, number, value) for column, value in terms]
        self._lower.append(lower)
        self._upper.append(upper)
        return number

    def equality(self, right: float, terms: Iterable[tuple[int, float]]) -> int:
        """Add sum of value * column = right, and return its number."""
        return self.row(terms, right, right)

    def solve(self) -> LinearSolution:
        """An optimal vertex by HiGHS.

        Raises:
            UnsolvedError: HiGHS ended without an optimum.
        """
        self._entries.sort()
        columns = np.array([column for column, _, _ in self._entries], dtype=np.int64)
        return solve_with_highs(
            LinearProgram(
                cost=np.array(self._costs),
                column_upper=np.array(self._column_upper),
                row_lower=np.array(self._lower),
                row_upper=np.array(self._upper),
                start=np.searchsorted(columns, np.arange(len(self._costs) + 1)),
                row=np.array([row for _, row, _ in self._entries], dtype=np.int64),
                value=np.array([value for _, _, value in self._entries]),
            )
        )

    def least(self, solution: LinearSolution) -> float:
        """The cost of a solution."""
        return math.fsum(np.array(self._costs) * solution.columns)
