"""Text and models in, raw logits on disk out, and the reader of what is on disk.

Rooms import one way: capturing, then models, then text and store. Importing this package is
cheap: torch and transformers are imported only by the code that runs models, and only when it
runs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdbound.logits_cache.capturing.add_drafts import add_drafts as add_drafts
    from mdbound.logits_cache.capturing.capture import capture as capture
    from mdbound.logits_cache.capturing.progress import CaptureSummary as CaptureSummary
    from mdbound.logits_cache.capturing.settings import CaptureSettings as CaptureSettings
    from mdbound.logits_cache.store.cache import LogitsBatch as LogitsBatch
    from mdbound.logits_cache.store.cache import LogitsCache as LogitsCache
    from mdbound.logits_cache.store.cache_from_arrays import write_cache as write_cache
    from mdbound.logits_cache.store.captured_paths import CapturedPaths as CapturedPaths
    from mdbound.logits_cache.store.captured_paths import CapturedTree as CapturedTree
    from mdbound.logits_cache.store.manifest import Manifest as Manifest
    from mdbound.logits_cache.store.manifest import ShardInfo as ShardInfo

__all__ = [
    "CaptureSettings",
    "CaptureSummary",
    "CapturedPaths",
    "CapturedTree",
    "LogitsBatch",
    "LogitsCache",
    "Manifest",
    "ShardInfo",
    "add_drafts",
    "capture",
    "write_cache",
]

_HOMES = {
    "CaptureSettings": "capturing.settings",
    "CaptureSummary": "capturing.progress",
    "CapturedPaths": "store.captured_paths",
    "CapturedTree": "store.captured_paths",
    "LogitsBatch": "store.cache",
    "LogitsCache": "store.cache",
    "Manifest": "store.manifest",
    "ShardInfo": "store.manifest",
    "add_drafts": "capturing.add_drafts",
    "capture": "capturing.capture",
    "write_cache": "store.cache_from_arrays",
}


def __getattr__(name: str) -> object:
    # Lazy, so that a subcommand's help does not pay for polars and pyarrow.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
