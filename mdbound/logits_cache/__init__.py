"""Text and models in, raw logits on disk out, and the reader of what is on disk.

Importing this package is cheap: torch and transformers are imported only by the code that runs
models, and only when it runs them.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["LogitsBatch", "LogitsCache", "Manifest", "ShardInfo", "write_cache"]

_HOMES = {
    "LogitsBatch": "store.cache",
    "LogitsCache": "store.cache",
    "Manifest": "store.manifest",
    "ShardInfo": "store.manifest",
    "write_cache": "store.arrays",
}


def __getattr__(name: str) -> object:
    # Lazy, so that a subcommand's help does not pay for polars and pyarrow.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
