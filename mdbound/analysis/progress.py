"""A progress bar on the terminal, and nothing at all when the output is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def position_progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show positions done, positions per second and the time left, on stderr.

    Args:
        description: What is going on.
        total: Positions in all.

    Yields:
        A function to be told how many positions have just been finished.

    Example:
        >>> with position_progress("solving", 10) as advance:
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

        def advance(positions: int) -> None:
            progress.advance(bar, positions)
            speed = progress.tasks[bar].speed
            progress.update(bar, rate=f"{speed:,.0f} positions/s" if speed else "")

        yield advance
