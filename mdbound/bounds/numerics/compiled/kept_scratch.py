"""Scratch arrays that each thread keeps from call to call.

The system hands out fresh pages for large arrays, and takes them back: touching these anew costs a
tenth of the search without replacement when a call has few rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

Scratch = TypeVar("Scratch")

_of_thread = threading.local()


def kept_scratch(make: Callable[..., Scratch], *sizes: Hashable) -> Scratch:
    """What `make(*sizes)` returned when this thread last asked for these sizes, or makes it.

    One scratch is kept for each function; one of other sizes takes its place.

    Args:
        make: makes arrays that their user overwrites.
        sizes: its arguments.

    Example:
        >>> first = kept_scratch(lambda size: [0] * size, 3)
        >>> kept_scratch(list) is kept_scratch(list)
        True
    """
    kept: dict[Any, tuple[Any, Any]] = _of_thread.__dict__.setdefault("kept", {})
    if make not in kept or kept[make][0] != sizes:
        kept[make] = (sizes, make(*sizes))
    return cast(Scratch, kept[make][1])
