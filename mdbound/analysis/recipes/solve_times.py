"""How long a bound takes, per top-k and n: measured once, then kept."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import polars as pl

import mdbound
from mdbound import bounds
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.tables.files import write_text
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.logits_cache.store.cache import LogitsCache

#: Columns: milliseconds per position of the bound, and of the canonical decomposition.
BOUND_TIME = "bound_ms"
DECOMPOSITION_TIME = "decomposition_ms"

#: Positions timed: more of them settle the medians, and each costs a decomposition per top-k and n.
_POSITIONS = 32

#: Calls of which the fastest counts: more find an undisturbed one, and take longer.
_REPEATS = 5

#: top-k, n and the two times.
_Row: TypeAlias = list[int | float | None]


def solve_times(cache: LogitsCache, grid: SolveGrid, file: Path) -> pl.DataFrame:
    """Milliseconds per position under the with-replacement law, at each top-k and n.

    Times differ from run to run. The first ones are written to a file, and read from it as long
    as version, capture and grid stay the same.

    Args:
        cache: Its first positions are solved.
        grid: Gives top-k, n and the first temperature.
        file: JSON file of the times.

    Returns:
        Columns `top_k`, `num_drafts`, `bound_ms` (solved in one batch on all cores) and
        `decomposition_ms` (one position after the other; the median position).

    Raises:
        OutputError: The file cannot be written.
    """
    key: dict[str, object] = {
        "mdbound": mdbound.__version__,
        "capture": cache.manifest.identity(),
        "top_k": list(grid.top_k),
        "num_drafts": list(grid.num_drafts),
    }
    rows = _read(file, key)
    if rows is None:
        rows = _measured(cache, grid)
        write_text(file, json.dumps({**key, "rows": rows}, indent=1) + "\n")
    schema = {
        "top_k": pl.Int64,
        "num_drafts": pl.Int64,
        BOUND_TIME: pl.Float64,
        DECOMPOSITION_TIME: pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _read(file: Path, key: Mapping[str, object]) -> list[_Row] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    rows = found.pop("rows", None) if isinstance(found, dict) else None
    return rows if isinstance(rows, list) and found == key else None


def _measured(cache: LogitsCache, grid: SolveGrid) -> list[_Row]:
    draft = cache.draft_names[0]
    batch = next(iter(cache.iter_batches(models=["target", draft], batch_rows=_POSITIONS)))
    rows: list[_Row] = []
    for k in grid.top_k:
        target, of_draft = (
            bounds.distribution_from_logits(batch.logits[name], grid.temperatures[0], k)
            for name in ("target", draft)
        )
        rows += [[k, n, *_times(target, of_draft, n)] for n in grid.num_drafts]
    return rows


def _times(target: FloatArray, draft: FloatArray, num_drafts: int) -> tuple[float, float]:
    """Milliseconds per position: bound in one batch, decomposition one position at a time."""
    together = _milliseconds(
        partial(bounds.optimal_acceptance, target, draft, num_drafts), _REPEATS
    )
    apart = [
        _milliseconds(partial(bounds.canonical_decomposition, p, q, num_drafts), repeats=2)
        for p, q in zip(target, draft, strict=True)
    ]
    return round(together / len(target), 4), round(statistics.median(apart), 4)


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Fastest of several calls, after one that warms up: others only waited for the machine."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return min(times[1:])
