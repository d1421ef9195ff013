"""What a solver returns: one result type for a batch of curves, one for a single problem."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mdbound.bounds.distributions import FloatArray


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
        subset_size: tokens in the optimal set H* (the smallest one found).
        target_mass: p(H*).
        draft_mass: q(H*); the mean over the drafts where they differ.
        containment: F(H*), the probability that all drafts lie in H*.
        error_bound: absolute error of `acceptance`, for the float64 distributions given.

    A row that could not be solved (only with `strict=False`) is NaN, with size -1.
    """

    acceptance: FloatArray
    subset_size: npt.NDArray[np.int64]
    target_mass: FloatArray
    draft_mass: FloatArray
    containment: FloatArray
    error_bound: FloatArray

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

    def put_rows(self, rows: npt.NDArray[np.intp], other: AcceptanceCurve) -> None:
        """Write the rows of another curve into the given rows of this one.

        Example:
            >>> curve = AcceptanceCurve.empty(3, 1)
            >>> one = AcceptanceCurve.empty(1, 1)
            >>> one.acceptance[:] = 0.5
            >>> curve.put_rows(np.array([1]), one)
            >>> curve.acceptance[:, 0].tolist()
            [nan, 0.5, nan]
        """
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)
