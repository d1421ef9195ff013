"""Lengths at which a configuration says that a model computes something differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ORIGINAL = "original_max_position_embeddings"


def length_switch(config: Any) -> int | None:
    """Length beyond which rotary frequencies of a whole sequence change, in tokens; None if never.

    Longrope has factors for short and for long sequences, dynamic scaling follows the length. In
    both, rows near the beginning change when the sequence grows past the switch.

    Example:
        >>> from types import SimpleNamespace
        >>> dynamic = {"rope_type": "dynamic", "factor": 2.0}
        >>> config = SimpleNamespace(rope_parameters=dynamic, max_position_embeddings=4096)
        >>> length_switch(config)
        4096
    """
    switches = [
        _switch(parameters, config)
        for parameters in _by_layers(getattr(config, "rope_parameters", None))
    ]
    return min((switch for switch in switches if switch is not None), default=None)


def windows(config: Any) -> list[int]:
    """Lengths of windows and chunks within which layers attend, in tokens."""
    found = [
        getattr(config, name, None)
        for name in ("sliding_window", "attention_chunk_size", "window_size")
    ]
    return [window for window in found if isinstance(window, int) and window > 0]


def _by_layers(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """The parameters, or those of each kind of layer."""
    if not isinstance(parameters, Mapping):
        return
    if "rope_type" in parameters:
        yield parameters
    else:
        yield from (inner for inner in parameters.values() if isinstance(inner, Mapping))


def _switch(parameters: Mapping[str, Any], config: Any) -> int | None:
    kind = parameters.get("rope_type") or "default"
    if kind == "longrope":
        length = parameters.get(_ORIGINAL) or getattr(config, _ORIGINAL, None)
    elif "dynamic" in kind:
        length = getattr(config, "max_position_embeddings", None)
    else:
        return None
    return int(length) if length else None
