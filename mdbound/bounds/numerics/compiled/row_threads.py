"""Rows of a batch on several threads: kernels release the interpreter lock, so threads suffice.

Numba's own `prange` would compile each driver three times over, with all it calls, and its usual
threading layer aborts when two Python threads enter it at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count

import numba

CHUNKS_PER_THREAD = 4
"""Rows differ in cost: with several chunks for each thread none waits long for the last one, but
each chunk makes its scratch anew."""

_pools: dict[int, ThreadPoolExecutor] = {}  # by process: a forked child has none of the threads


def run_chunks(
    run: Callable[[int, int], object], rows: int, per_thread: int = CHUNKS_PER_THREAD
) -> None:
    """Call `run(chunk, chunks)` for every chunk, on `numba.get_num_threads()` threads.

    A chunk stands for the rows chunk, chunk + chunks, chunk + 2 * chunks, ... The calling thread
    takes chunks, too. After an exception no other chunk is begun, and the exception is raised.

    Args:
        run: a kernel that releases the interpreter lock.
        rows: rows of the batch.
        per_thread: chunks for each thread.

    Example:
        >>> done = []
        >>> run_chunks(lambda chunk, chunks: done.extend(range(chunk, 5, chunks)), 5)
        >>> sorted(done)
        [0, 1, 2, 3, 4]
    """
    threads = min(numba.get_num_threads(), rows)
    if threads <= 1:
        if rows > 0:
            run(0, 1)
        return
    chunks = min(rows, per_thread * threads)
    begun = count()
    stopped = False

    def work() -> None:
        nonlocal stopped
        while not stopped and (chunk := next(begun)) < chunks:
            try:
                run(chunk, chunks)
            except BaseException:
                stopped = True
                raise

    others = [_pool().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        # What has not begun is not needed any more, and may never begin in nested calls.
        running = [other for other in others if not other.cancel()]
        wait(running)  # after an exception, too: they write to the caller's arrays
    for other in running:
        other.result()


def _pool() -> ThreadPoolExecutor:
    """Threads that all calls share: starting one takes as long as solving a row."""
    process = os.getpid()
    if process not in _pools:
        threads: int = vars(numba.config)["NUMBA_NUM_THREADS"]
        _pools[process] = ThreadPoolExecutor(threads, "mdbound")
    return _pools[process]
