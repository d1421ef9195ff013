"""`verify` runs no kernel that `solve` has not compiled: a first look at a file costs no wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mdbound.logits_cache.store.cache_from_arrays import write_cache

pytest.importorskip("flint")

SCRIPT = """
import sys
from numba.core import event
from mdbound.analysis import SolveGrid, solve_cache, verify_results
from mdbound.logits_cache import LogitsCache

class Count(event.Listener):
    number = 0
    def on_start(self, event):
        Count.number += 1
    def on_end(self, event):
        pass

event.register("numba:compile", Count())
cache = LogitsCache.open(sys.argv[1])
grid = SolveGrid(sampling=(sys.argv[2],), num_drafts=(1, 2), drafts=("small",))
solve_cache(cache, grid.settings(cache.draft_names), sys.argv[3])
solved = Count.number
found = verify_results(sys.argv[3], cache, rows=8, cvxpy_rows=0)
assert found.passed, found.failures
print(solved, Count.number - solved)
"""


@pytest.mark.parametrize("law", ["greedy", "without_replacement"])
def test_nothing_is_compiled_that_solve_has_not(tmp_path: Path, law: str) -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(scale=2.0, size=(4, 5_000)).astype(np.float32)
    draft = (target + rng.normal(size=target.shape)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": draft})
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "c"), law, str(tmp_path / "r.parquet")],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")},
        capture_output=True,
        text=True,
        check=True,
    )
    solved, more = map(int, run.stdout.split())
    assert solved > 0
    assert more == 0
