"""What every benchmark shares: interleaved timing, input rows, and where it ran."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy

import mdbound

SIZES = (32_000, 49_152, 151_936)


def fastest(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest of `repeats` interleaved runs, after one run to compile."""
    best = {}
    for name, call in calls.items():
        call()
        best[name] = float("inf")
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def synthetic_logits(shape: str, rows: int, vocab_size: int) -> tuple[Any, Any]:
    """Float32 rows of a target and a draft that resembles it, flat or realistic or peaked."""
    spread = {"flat": 0.3, "realistic": 3.0, "peaked": 8.0}[shape]
    rng = np.random.default_rng(vocab_size)
    target = rng.normal(0.0, spread, (rows, vocab_size))
    draft = target + rng.normal(0.0, spread / 3.0, (rows, vocab_size))
    return target.astype(np.float32), draft.astype(np.float32)


def captured_logits(cache: str, rows: int) -> tuple[Any, Any]:
    """The first rows of a capture: its target and its first draft."""
    from mdbound.logits_cache import LogitsCache

    opened = LogitsCache.open(cache)
    batch = next(opened.iter_batches(batch_rows=rows))
    return batch.logits["target"].copy(), batch.logits[opened.draft_names[0]].copy()


def environment() -> dict[str, str]:
    """Versions and processor, for the JSON files."""
    return {
        "mdbound": mdbound.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "scipy": scipy.__version__,
        "processor": processor(),
        "machine": platform.machine(),
    }


def processor() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
