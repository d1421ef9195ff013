"""What a first run costs: CPU seconds of fresh processes that find no compiled kernels.

    python -m benchmarks.cold_start --json benchmarks/results/cold_start.json

Each draft law alone, then all in one process, the README's first example, importing the bounds,
the help of the command line, and `mdbound demo` with `mdbound verify` after it. Times of several
programs of this kind vary by a tenth from run to run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mdbound.bounds import SAMPLING_LAWS

_SOLVE = """
import numpy as np
from mdbound import bounds
logits = np.random.default_rng(0).normal(0.0, 3.0, (2, 2, 32_000)).astype(np.float32)
for law in {laws}:
    drafts = [logits[1]] * 3 if law == "independent" else logits[1]
    bounds.solve_curve_from_logits(logits[0], drafts, 3, law)
"""
_FIRST_EXAMPLE = """
from mdbound import bounds
bounds.optimal_acceptance([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], num_drafts=2)
"""


def main() -> None:
    """Print a line for each process, and write them all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    json_file = parser.parse_args().json
    found: dict[str, dict[str, float]] = {}

    def measure(name: str, arguments: list[str], kernels: Path) -> None:
        found[name] = cost(arguments, kernels)
        print(
            f"{name:28s} {found[name]['cpu']:6.2f} CPU s {found[name]['wall']:6.2f} s", flush=True
        )

    with tempfile.TemporaryDirectory() as folder:
        fresh = (Path(folder) / f"kernels-{index}" for index in range(100))
        for law in SAMPLING_LAWS:
            measure(law, ["-c", _SOLVE.format(laws=[law])], next(fresh))
        measure("all laws", ["-c", _SOLVE.format(laws=list(SAMPLING_LAWS))], next(fresh))
        measure("first example", ["-c", _FIRST_EXAMPLE], next(fresh))
        measure("import mdbound.bounds", ["-c", "import mdbound.bounds"], next(fresh))
        measure("mdbound --help", ["-m", "mdbound", "--help"], next(fresh))
        kernels, demo = next(fresh), Path(folder) / "demo"
        measure("mdbound demo", ["-m", "mdbound", "demo", "--out", str(demo)], kernels)
        results = ["verify", str(demo / "results.parquet"), "--cache", str(demo / "capture")]
        measure("mdbound verify --rows 60", ["-m", "mdbound", *results, "--rows", "60"], kernels)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def cost(arguments: list[str], kernels: Path) -> dict[str, float]:
    """User and system time, and wall time, of a Python process that keeps its kernels there."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(kernels)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": round(cpu, 2), "wall": round(time.perf_counter() - started, 2)}


if __name__ == "__main__":
    main()
