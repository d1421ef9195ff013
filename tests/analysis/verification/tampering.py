"""Values changed as little as a wrong file may have them."""

from __future__ import annotations

from typing import Any


def other(value: Any) -> Any:
    """The value changed by 1e-9 relative, by one, or to another name; null for what has none."""
    if value is None:
        return None
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value * (1.0 + 1e-9) if value else 1e-9
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return [*value[:-1], other(value[-1])] if value else [0.5]
    return f"{value}x"
