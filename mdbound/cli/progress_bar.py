"""A progress bar with a rate and the time left, on stderr."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBar:
    """One bar: steps done decide its length and the time left, counted things its rate."""

    def __init__(self, progress: Progress, task: TaskID, unit: str) -> None:
        self._progress = progress
        self._task = task
        self._unit = unit
        self._started: float | None = None

    def update(self, done: int, total: int, counted: int) -> None:
        """Show `done` of `total` steps and the rate of `counted` since the first update."""
        now = time.perf_counter()
        self._started = now if self._started is None else self._started
        seconds = now - self._started
        rate = f"{counted / seconds:,.1f} {self._unit}/s" if counted and seconds else ""
        self._progress.update(self._task, completed=done, total=total, rate=rate)


@contextlib.contextmanager
def progress_bar(label: str, unit: str) -> Iterator[ProgressBar]:
    """Show a bar while the block runs; silent where stderr is no terminal, but for long waits.

    Kernels that are compiled meanwhile are announced; the bar moves on, without a length as long
    as it has none.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from mdbound.bounds import on_compiling

    console = Console(stderr=True)
    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with (
        on_compiling(lambda name: console.print(_compiling(name), highlight=False)),
        Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress,
    ):
        yield ProgressBar(progress, progress.add_task(label, total=None, rate=""), unit)


def _compiling(name: str) -> str:
    """What is waited for, and how long it takes where that is known.

    >>> _compiling("greedy")
    'compiling greedy, once, about 3 s'
    >>> _compiling("nucleus")
    'compiling nucleus, once'
    """
    from mdbound.bounds import SAMPLING_LAWS, draft_law

    seconds = draft_law(name).compile_seconds if name in SAMPLING_LAWS else 0.0
    return f"compiling {name}, once" + (f", about {seconds:.0f} s" if seconds else "")


def human_size(size: float) -> str:
    """A size in bytes for reading.

    >>> human_size(123_000_000)
    '117.3 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
