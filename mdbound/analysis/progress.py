"""A progress bar on the terminal, and nothing at all when the output is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Told how many items have just been finished, and of how many if that is new."""

    def __call__(self, count: int, total: int | None = None) -> None:
        """Move the bar on."""


@contextmanager
def progress_bar(description: str, total: int | None, unit: str = "positions") -> Iterator[Advance]:
    """Show items done, items per second and the time left, on stderr.

    Args:
        description: What is going on.
        total: Items in all, or None when it is not known yet.
        unit: What is counted.

    Yields:
        A function to be told how many items have just been finished.

    Example:
        >>> with progress_bar("solving", 10) as advance:
        ...     advance(10)
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task(description, total=total, rate="")

        def advance(count: int, total: int | None = None) -> None:
            if total is not None:
                progress.update(bar, total=total)
            progress.advance(bar, count)
            speed = progress.tasks[bar].speed
            progress.update(bar, rate=f"{speed:,.0f} {unit}/s" if speed else "")

        yield advance
