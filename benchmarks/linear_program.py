"""Largest linear programs that HiGHS and cvxpy solve, and what each size costs.

    python -m benchmarks.linear_program                  a table
    python -m benchmarks.linear_program --json FILE      the same with versions and processor
    python -m benchmarks.linear_program --one highs 2 100 with_replacement     one problem, as JSON

Each size runs in a process of its own, so that its peak memory is its own. The time of the bound
itself on the same problem stands beside it: the program is the oracle, not the tool.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import environment

SIZES = {  # (n, V): as far as each gets in seconds, within the memory of a laptop
    "highs": [(2, 100), (2, 400), (2, 1_000), (3, 30), (3, 60), (3, 100), (4, 30), (4, 40)],
    "cvxpy": [(2, 50), (2, 100), (2, 200), (3, 20), (3, 30)],
}


def measure(backend: str, num_drafts: int, vocabulary: int, sampling: str) -> dict[str, Any]:
    """Solve one problem here; seconds in all and in the solver, peak memory, distance to bound."""
    import numpy as np

    from mdbound import bounds

    logits = 2.0 * np.random.default_rng(vocabulary).normal(size=vocabulary)
    noise = np.random.default_rng(0).normal(size=vocabulary)
    p = bounds.distribution_from_logits(logits)
    q = bounds.distribution_from_logits(0.7 * logits + noise)
    value = bounds.optimal_acceptance(p, q, num_drafts, sampling)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    solution = bounds.solve_transport(p, q, num_drafts, sampling, backend)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "backend": backend,
        "sampling": sampling,
        "num_drafts": num_drafts,
        "vocabulary": vocabulary,
        "columns": solution.num_columns,
        "rows": solution.num_rows,
        "seconds": seconds,
        "solver_seconds": solution.seconds,
        "megabytes": (peak - before) / 1024,
        "difference": abs(solution.acceptance - value),
    }


def measure_apart(backend: str, num_drafts: int, vocabulary: int, sampling: str) -> dict[str, Any]:
    """`measure` in a process of its own. A failure is a result too: kept, with what it said."""
    command = [sys.executable, "-m", "benchmarks.linear_program", "--one"]
    command += [backend, str(num_drafts), str(vocabulary), sampling]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        row: dict[str, Any] = json.loads(done.stdout)
        return row
    return {
        "backend": backend,
        "sampling": sampling,
        "num_drafts": num_drafts,
        "vocabulary": vocabulary,
        "failed": done.stderr.strip().splitlines()[-1],
    }


def print_row(row: dict[str, Any]) -> None:
    """One line of the table."""
    problem = f"{row['backend']:8} {row['sampling']:20} {row['num_drafts']:2} {row['vocabulary']:5}"
    if "failed" in row:
        print(f"{problem}   failed: {row['failed']}")
        return
    print(
        f"{problem} {row['columns']:9,} {row['rows']:9,} {row['seconds']:9.2f} "
        f"{row['megabytes']:8.0f}  {row['difference']:.1e}"
    )


def main() -> None:
    """Run every size, print a line each, and write the JSON file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=4, metavar=("BACKEND", "N", "V", "SAMPLING"))
    options = parser.parse_args()
    if options.one:
        backend, num_drafts, vocabulary, sampling = options.one
        print(json.dumps(measure(backend, int(num_drafts), int(vocabulary), sampling)))
        return
    found = []
    print(
        "backend  sampling              n     V   columns      rows   seconds       MB  difference"
    )
    for backend, sizes in SIZES.items():
        for sampling in ("with_replacement", "without_replacement"):
            for num_drafts, vocabulary in sizes:
                found.append(measure_apart(backend, num_drafts, vocabulary, sampling))
                print_row(found[-1])
    if options.json:
        record = {"environment": environment(), "results": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
