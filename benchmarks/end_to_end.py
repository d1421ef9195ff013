"""`mdbound solve` against reading the same columns with pyarrow, and its peak memory.

    python -m benchmarks.end_to_end                  a synthetic capture at V = 151,936
    python -m benchmarks.end_to_end --cache CACHE    a real one

Reading and solving alternate on a warm page cache; each is the fastest of three.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.side_by_side import environment, synthetic_logits
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.logits_cache import LogitsCache, write_cache

LAWS = ("with_replacement", "without_replacement", "greedy")
VOCABULARY = 151_936
BATCH_ROWS = 64
"""As `mdbound solve` reads by default."""


def synthetic_cache(folder: Path, rows: int, vocab_size: int) -> Path:
    """A capture of realistic rows, rounded to bfloat16 as most models' logits are."""
    target, draft = synthetic_logits("realistic", rows, vocab_size)
    for logits in (target, draft):
        bits = logits.view(np.uint32)
        bits &= np.uint32(0xFFFF0000)
    write_cache(folder / "cache", target, {"draft": draft})
    return folder / "cache"


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read(cache: LogitsCache) -> None:
    """Decode the logits of target and first draft, batch by batch, and drop them."""
    for folder in ("target", f"draft-{cache.draft_names[0]}"):
        for file in sorted((cache.path / folder).glob("*.parquet")):
            for _ in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=["logits"]):
                pass


def measure(cache: LogitsCache, law: str, scratch: Path) -> dict[str, Any]:
    """Times of one draft law, n = 1..8, and the process's peak memory so far."""
    grid = SolveGrid(sampling=(law,), drafts=cache.draft_names[:1])
    settings = grid.settings(cache.draft_names)
    solve_cache(cache, settings, scratch / f"{law}-compile.parquet")
    reading, solving = [], []
    for index in range(3):
        out = scratch / f"{law}-{index}.parquet"
        reading.append(seconds(partial(read, cache)))
        solving.append(seconds(partial(solve_cache, cache, settings, out)))
    ratio = min(solving) / min(reading)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{law}, V = {cache.vocab_size:,}: {cache.num_positions} positions read in "
        f"{min(reading):.2f} s, solved (n = 1..8) in {ratio:.2f} times that; peak {peak:,.0f} MiB"
    )
    return {
        "law": law,
        "positions": cache.num_positions,
        "vocab_size": cache.vocab_size,
        "read_seconds": min(reading),
        "ratio": ratio,
        "peak_mib": peak,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--rows", type=int, default=384)
    parser.add_argument("--vocab-size", type=int, default=VOCABULARY)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cache = LogitsCache.open(
            arguments.cache or synthetic_cache(Path(scratch), arguments.rows, arguments.vocab_size)
        )
        entries = [measure(cache, law, Path(scratch)) for law in LAWS]
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": environment(), "runs": entries}))


if __name__ == "__main__":
    main()
