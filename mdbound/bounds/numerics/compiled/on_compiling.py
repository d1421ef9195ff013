"""Word of what is being compiled: it takes seconds, and who waits should know for what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event

_COMPILING = "numba:compile"

_LAWS = "laws"


@contextmanager
def on_compiling(report: Callable[[str], None]) -> Iterator[None]:
    """Call `report` with a name when kernels are compiled while the block runs.

    The name is that of the draft law whose kernels they are, or of their module: it comes once,
    when compiling begins. Code that is kept on disk is loaded without a word.

    Args:
        report: must not raise; it is called by the thread that compiles.

    Example:
        >>> with on_compiling(print):
        ...     pass
    """
    events: Any = event  # numba has no types
    listener = _Listener(report)
    events.register(_COMPILING, listener)
    try:
        yield
    finally:
        events.unregister(_COMPILING, listener)


class _Listener(event.Listener):
    """Tells outermost kernels from those that are compiled inside them."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._depth = threading.local()
        self._told: set[str] = set()

    def on_start(self, event: Any) -> None:
        depth = getattr(self._depth, "value", 0)
        self._depth.value = depth + 1
        name = kernel_name(event.data["dispatcher"].py_func.__module__)
        if depth == 0 and name not in self._told:
            self._told.add(name)
            self._report(name)

    def on_end(self, event: Any) -> None:
        del event
        self._depth.value -= 1


def kernel_name(module: str) -> str:
    """The draft law of a module inside `laws`, or the module's own name.

    Example:
        >>> kernel_name("mdbound.bounds.laws.greedy.law")
        'greedy'
        >>> kernel_name("mdbound.bounds.numerics.nucleus")
        'nucleus'
    """
    parts = module.split(".")
    return parts[parts.index(_LAWS) + 1] if _LAWS in parts[:-2] else parts[-1]
