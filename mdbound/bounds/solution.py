"""What a solver returns: one result type for a batch of curves, one for a single problem."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mdbound.bounds.distributions import FloatArray


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

    A row that could not be solved (only with `strict=False`) is NaN, with size -1. Under the
    `independent` law `boxes` says how long the search was.
    """

    acceptance: FloatArray
    subset_size: npt.NDArray[np.int64]
    target_mass: FloatArray
    draft_mass: FloatArray
    containment: FloatArray
    error_bound: FloatArray

    @property
    def boxes(self) -> npt.NDArray[np.int64] | None:
        """Boxes that contract-and-branch looked at, shape (B, N); None under all other laws.

        1 where the first set found was proved optimal at once; 0 for a row that was not looked
        at. A curve of tensors carries none.
        """
        boxes: npt.NDArray[np.int64] | None = self.__dict__.get("_boxes")
        return boxes

    def put_boxes(self, boxes: npt.NDArray[np.int64]) -> None:
        """Keep the numbers of boxes of an `independent` curve.

        They are no field: code that goes over the fields finds the same six for every law.

        Example:
            >>> curve = AcceptanceCurve.empty(1, 2)
            >>> curve.put_boxes(np.array([[1, 3]]))
            >>> curve.boxes.tolist()
            [[1, 3]]
        """
        object.__setattr__(self, "_boxes", boxes)

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
        if other.boxes is not None:
            boxes = np.zeros(self.subset_size.shape, np.int64) if self.boxes is None else self.boxes
            boxes[rows] = other.boxes
            self.put_boxes(boxes)
