"""Which problems are small enough for plain numpy, so that nothing has to be compiled for them.

A kernel takes seconds to compile, once for each machine; a three-token example should answer at
once. Size alone decides, never what happens to be compiled: the last bits of a value must not
depend on what was run before. Nor, where rows come in batches, on how many of them are together:
`counted_as` makes the vocabulary alone decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy.typing as npt

SMALL_ENTRIES = 4096
"""Rows times tokens: at most so many take milliseconds in numpy. More, and batches of a service
that has its kernels wait for numpy; less, and vocabularies of small models compile."""

SMALL_DRAFTS = 8
"""Time and memory of the numpy solvers grow with the number of drafts, that of kernels hardly."""

PAIRWISE_ROUNDINGS = 24.0
"""Most additions that a value goes through in numpy's sum of so many: 19 in a block of 128, and one
for each halving."""


_COUNTED: ContextVar[int | None] = ContextVar("rows that a batch counts as", default=None)


@contextmanager
def counted_as(rows: int) -> Iterator[None]:
    """In this block every batch counts as one of so many rows, whatever it holds.

    Example:
        >>> import numpy as np
        >>> with counted_as(64):
        ...     is_small(np.zeros((1, 64))), is_small(np.zeros((1, 65)))
        (True, False)
    """
    token = _COUNTED.set(rows)
    try:
        yield
    finally:
        _COUNTED.reset(token)


def is_small(rows: npt.ArrayLike, max_drafts: int = 1) -> bool:
    """Whether rows of this shape (B, V) are solved in numpy for so many drafts.

    Example:
        >>> import numpy as np
        >>> is_small(np.zeros((2, 2048)), 8), is_small(np.zeros((2, 2049)), 8)
        (True, False)
    """
    entries: int = getattr(rows, "size", SMALL_ENTRIES + 1)
    counted = _COUNTED.get()
    if counted is not None:
        entries = counted * int(getattr(rows, "shape", (SMALL_ENTRIES + 1,))[-1])
    return entries <= SMALL_ENTRIES and max_drafts <= SMALL_DRAFTS
