"""Rows of a batch, each by a Python function whose kernels release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mdbound.bounds.numerics.compiled.row_threads import run_chunks

Result = TypeVar("Result")


def map_rows(row_function: Callable[[int], Result], num_rows: int) -> list[Result]:
    """`[row_function(0), ..., row_function(num_rows - 1)]`, on `numba.get_num_threads()` threads.

    Example:
        >>> map_rows(lambda row: row * row, 4)
        [0, 1, 4, 9]
    """
    results: dict[int, Result] = {}

    def run(chunk: int, chunks: int) -> None:
        for row in range(chunk, num_rows, chunks):
            results[row] = row_function(row)

    run_chunks(run, num_rows)
    return [results[row] for row in range(num_rows)]
