"""Rows of a batch on all cores: kernels release the interpreter lock, so threads suffice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numba

Result = TypeVar("Result")


def map_rows(row_function: Callable[[int], Result], num_rows: int) -> list[Result]:
    """`[row_function(0), ..., row_function(num_rows - 1)]`, on `numba.get_num_threads()` threads.

    Threads take contiguous runs of rows, so that small vocabularies do not pay for a task per row.
    Numba's own `prange` is not used: its default threading layer aborts when two Python threads
    enter it at once, which callers that already run rows in parallel would do.

    Example:
        >>> map_rows(lambda row: row * row, 4)
        [0, 1, 4, 9]
    """
    threads = min(numba.get_num_threads(), num_rows)
    if threads <= 1:
        return [row_function(row) for row in range(num_rows)]
    edges = [num_rows * i // threads for i in range(threads + 1)]

    def run(part: int) -> list[Result]:
        return [row_function(row) for row in range(edges[part], edges[part + 1])]

    with ThreadPoolExecutor(threads) as pool:
        return [result for part in pool.map(run, range(threads)) for result in part]
