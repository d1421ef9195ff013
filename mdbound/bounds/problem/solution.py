"""What a solver returns: one result type for a batch of curves, one for a single problem."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import UnsolvedError


def new_findings(rows: int, max_drafts: int) -> tuple[FloatArray, FloatArray]:
    """What kernels write, NaN at first: all about the optimum in one array, and its error bound.

    Returns:
        Acceptance, size, p(H), q(H) and F(H) in an array of shape (rows, 5, max_drafts), so that
        a row's are together; error bounds, shape (rows, max_drafts).

    Example:
        >>> new_findings(2, 3)[0].shape
        (2, 5, 3)
    """
    return np.full((rows, 5, max_drafts), np.nan), np.full((rows, max_drafts), np.nan)


@dataclass(frozen=True)
class AcceptanceCurve:
    """Optimal acceptance of B rows for every number of drafts 1..N; arrays of shape (B, N).

    Attributes:
        acceptance: alpha*, the largest membership probability of a lossless rule.
        subset_size: tokens in the optimal set H* (the smallest one found); 0 where no set
            gains more than `error_bound`, see `settled`.
        target_mass: p(H*).
        draft_mass: q(H*); the mean over the drafts where they differ.
        containment: F(H*), the probability that all drafts lie in H*.
        error_bound: absolute error of `acceptance`, for the float64 distributions given.
        boxes: boxes that contract-and-branch looked at, under the independent law on arrays; None
            otherwise. 1 where the first set found was proved optimal at once, 0 for a row that
            was not looked at.

    A row that could not be solved (only with `strict=False`) is NaN, with size -1. Under the
    `independent` law `boxes` says how long the search was.
    """

    acceptance: FloatArray
    subset_size: npt.NDArray[np.int64]
    target_mass: FloatArray
    draft_mass: FloatArray
    containment: FloatArray
    error_bound: FloatArray
    boxes: npt.NDArray[np.int64] | None = None

    @property
    def unsolved(self) -> list[int]:
        """Indices of the rows that could not be solved for some number of drafts.

        Example:
            >>> AcceptanceCurve.empty(2, 3).unsolved
            [0, 1]
        """
        missing = self.acceptance != self.acceptance  # NaN, in arrays and in tensors alike
        return [row for row, bad in enumerate(missing.any(1).tolist()) if bad]

    @classmethod
    def empty(cls, rows: int, max_drafts: int) -> AcceptanceCurve:
        """Arrays to be filled, of NaN and size -1.

        Example:
            >>> AcceptanceCurve.empty(2, 3).acceptance.shape
            (2, 3)
        """
        shape = (rows, max_drafts)
        values = [np.full(shape, np.nan) for _ in range(5)]
        return cls(values[0], np.full(shape, -1), values[1], values[2], values[3], values[4])

    @classmethod
    def of_findings(cls, found: FloatArray, error_bound: FloatArray) -> AcceptanceCurve:
        """The curve in what kernels write, see `new_findings`.

        Example:
            >>> AcceptanceCurve.of_findings(*new_findings(1, 2)).subset_size.tolist()
            [[-1, -1]]
        """
        size = np.where(np.isnan(found[:, 1]), -1, found[:, 1]).astype(np.int64)
        return cls(found[:, 0], size, found[:, 2], found[:, 3], found[:, 4], error_bound)

    def settled(self) -> AcceptanceCurve:
        """The same, but with the empty set where the best one gains no more than the stated error.

        There alpha* is 1 up to rounding, and rounding alone chose the set (any, where p = q). The
        empty set is worth 1; what is given up is added to the error bound. A value that rounding
        left below 0 is 0.

        Example:
            >>> curve = AcceptanceCurve.empty(1, 1)
            >>> values = {"acceptance": 1 - 2**-52, "subset_size": 9, "error_bound": 1e-13}
            >>> for name, value in values.items():
            ...     getattr(curve, name)[:] = value
            >>> curve.settled().acceptance.tolist(), curve.settled().subset_size.tolist()
            ([[1.0]], [[0]])
        """
        gain = 1.0 - self.acceptance
        nothing = gain <= self.error_bound  # NaN, where unsolved, is not
        kept = ~nothing
        below = (self.acceptance < 0.0) & (-self.acceptance <= self.error_bound)
        return replace(
            self,
            acceptance=self.acceptance + gain * nothing - self.acceptance * below,
            subset_size=self.subset_size * kept,
            target_mass=self.target_mass * kept,
            draft_mass=self.draft_mass * kept,
            containment=self.containment * kept,
            error_bound=self.error_bound + abs(gain) * nothing,
        )

    def with_more_error(self, more: float | FloatArray) -> AcceptanceCurve:
        """The same with larger error bounds: by rounding of what the distributions came from.

        Args:
            more: one number, or what numpy spreads over (B, N).

        Example:
            >>> curve = AcceptanceCurve.empty(1, 2)
            >>> curve.error_bound[:] = 1e-14
            >>> curve.with_more_error(np.array([1e-14, 3e-14])).error_bound.tolist()
            [[2e-14, 4e-14]]
        """
        return replace(self, error_bound=self.error_bound + more)

    def among(self, rows: npt.NDArray[np.intp], total: int) -> AcceptanceCurve:
        """This curve's rows at the given places of a batch of `total`; the others are unsolved.

        Example:
            >>> one = AcceptanceCurve.empty(1, 1)
            >>> one.acceptance[:] = 0.5
            >>> one.among(np.array([1]), 3).acceptance[:, 0].tolist()
            [nan, 0.5, nan]
        """
        batch = AcceptanceCurve.empty(total, self.acceptance.shape[1])
        for field in fields(self):
            if field.name != "boxes":
                getattr(batch, field.name)[rows] = getattr(self, field.name)
        if self.boxes is None:
            return batch
        boxes = np.zeros(batch.subset_size.shape, dtype=np.int64)
        boxes[rows] = self.boxes
        return replace(batch, boxes=boxes)


def refuse_unsolved(curve: AcceptanceCurve) -> None:
    """Refuse a curve with a row that could not be solved.

    Raises:
        UnsolvedError: naming the first such row.

    Example:
        >>> refuse_unsolved(AcceptanceCurve.empty(0, 3))
    """
    unsolved = curve.unsolved
    if unsolved:
        raise UnsolvedError(
            f"row {unsolved[0]}: no optimum within the stated error was found; "
            "solve with strict=False to skip such rows"
        )


class ProvenInterval(Protocol):
    """What the check of a certificate gives: an interval that holds the optimum."""

    @property
    def lower(self) -> Fraction:
        """At most the optimum."""

    @property
    def upper(self) -> Fraction:
        """At least the optimum."""

    def error_of(self, acceptance: float, /) -> float:
        """Largest distance between a claimed value and a point of the interval."""


class Checkable(Protocol):
    """A certificate: it proves the value of a problem from its distributions alone."""

    def check(self, target: npt.ArrayLike, draft: Any) -> ProvenInterval:
        """The interval in which the optimum of these distributions provably lies."""


@dataclass(frozen=True)
class Solution:
    """The optimum of one position.

    Attributes:
        acceptance: alpha* = 1 + p(H*) - F(H*).
        subset: ids of the tokens of H*, ascending.
        target_mass: p(H*).
        containment: F(H*).
        error_bound: absolute error of `acceptance`.
        certificate: H* in compact form; its `check(target, draft)` proves the value in exact or
            enclosed arithmetic, without the solver.
    """

    acceptance: float
    subset: IntArray
    target_mass: float
    containment: float
    error_bound: float
    certificate: Checkable
