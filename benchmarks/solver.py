"""Time of the exact bounds, as ratios to the softmax of the two rows that precedes them.

    python -m benchmarks.solver                          tables
    python -m benchmarks.solver --cache CACHE            the same with rows of a real capture
    python -m benchmarks.solver --sizes 1000             at another vocabulary size
    python -m benchmarks.solver --json FILE              with versions and processor

All n = 1..8 come out of one call. Everything runs in one process; a time is the fastest of
several repeats, interleaved with the softmax, after a call that compiles. The softmax is fused,
float64, with the same vectorised exp, on one thread; so are the solvers, but for the last table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit

from benchmarks.side_by_side import (
    SIZES,
    captured_logits,
    environment,
    fastest,
    synthetic_logits,
)
from mdbound import bounds
from mdbound.bounds.numerics.fused_softmax import softmax_into
from mdbound.bounds.numerics.summation import prefix_sums

MAX_DRAFTS = 8
"""n = 1, ..., 8 come out of one call."""
ROWS = 32
"""Rows per call, enough for the cost of a call itself to be small, as it is in a capture."""
SORTED_ROWS = 4
"""The same for the sorts, which take long and whose calls cost nothing beside them."""
TEMPERATURES = (1.2, 2.0, 0.8, 1.5)
"""Of the draft, to make different drafts of one model: the first K of them."""


@njit(cache=True, nogil=True)
def softmax_rows(target: Any, draft: Any, probabilities: Any) -> None:
    """The baseline: softmax of target and draft, row by row."""
    for row in range(len(target)):
        softmax_into(target[row], 1.0, probabilities)
        softmax_into(draft[row], 1.0, probabilities)


def numpy_sort(target: Any, draft: Any) -> None:
    """The papers' way: softmax, sort by q/p, cumulative sums, in numpy."""
    for row in range(len(target)):
        p, q = np.exp(target[row] - target[row].max()), np.exp(draft[row] - draft[row].max())
        p, q = p / p.sum(), q / q.sum()
        order = np.argsort(p / q)
        p_prefix, q_prefix = np.cumsum(p[order]), np.cumsum(q[order])
        for n in range(1, MAX_DRAFTS + 1):
            (p_prefix - q_prefix**n).min()


@njit(cache=True, nogil=True)
def numba_sort(target: Any, draft: Any) -> float:
    """The same compiled, with compensated sums."""
    p, q = np.empty(target.shape[1]), np.empty(target.shape[1])
    best = 0.0
    for row in range(len(target)):
        softmax_into(target[row], 1.0, p)
        softmax_into(draft[row], 1.0, q)
        order = np.argsort(p / q, kind="mergesort")
        p_prefix, q_prefix = prefix_sums(p[order]), prefix_sums(q[order])
        power = np.ones(len(q_prefix))
        for _ in range(MAX_DRAFTS):
            power *= q_prefix
            best = min(best, (p_prefix - power).min())
    return best


def solver_calls(target: Any, draft: Any) -> dict[str, Any]:
    """Every solver on the same rows."""
    calls: dict[str, Any] = {
        law: lambda law=law: bounds.solve_curve_from_logits(target, draft, MAX_DRAFTS, law)
        for law in ("with_replacement", "without_replacement", "greedy")
    }
    for count in (2, 3, 4):
        calls[f"independent K={count}"] = lambda count=count: bounds.solve_curve_from_logits(
            target, draft, count, "independent", draft_temperature=TEMPERATURES[:count]
        )
    return calls


def sort_calls(target: Any, draft: Any) -> dict[str, Any]:
    """The sorts, on a few of the rows."""
    few = slice(SORTED_ROWS)
    return {
        "numpy sort": lambda: numpy_sort(target[few], draft[few]),
        "numba sort": lambda: numba_sort(target[few], draft[few]),
    }


def measure_rows(label: str, target: Any, draft: Any, repeats: int) -> dict[str, Any]:
    """Ratios of one kind of rows."""
    numba.set_num_threads(1)
    scratch = np.empty(target.shape[1])
    baseline = {"softmax": lambda: softmax_rows(target, draft, scratch)}
    seconds = fastest(baseline | solver_calls(target, draft), repeats)
    softmax = seconds.pop("softmax") / len(target)
    per_row = {name: value / len(target) for name, value in seconds.items()}
    sorts = fastest(sort_calls(target, draft), repeats)
    per_row |= {name: value / SORTED_ROWS for name, value in sorts.items()}
    return {
        "rows": label,
        "vocab_size": target.shape[1],
        "softmax_us_per_row": 1e6 * softmax,
        "ratios": {name: value / softmax for name, value in per_row.items()},
    }


def measure_threads(vocab_size: int, repeats: int) -> dict[str, float]:
    """Speed-up of two threads over one, on realistic rows."""
    target, draft = synthetic_logits("realistic", 2 * ROWS, vocab_size)
    speedups = {}
    for law in ("with_replacement", "without_replacement", "greedy"):
        times = {}
        for threads in (1, 2):
            numba.set_num_threads(threads)
            call = {law: lambda law=law: bounds.solve_curve_from_logits(target, draft, 8, law)}
            times[threads] = fastest(call, repeats)[law]
        speedups[law] = times[1] / times[2]
    return speedups


def measure_linear_program() -> list[dict[str, float]]:
    """Seconds of HiGHS on the optimal-transport program of one position, n = 2, and ours."""
    entries = []
    for vocab_size in (32, 64):
        target, draft = synthetic_logits("realistic", 1, vocab_size)
        p = bounds.distribution_from_logits(target[0])
        q = bounds.distribution_from_logits(draft[0])
        start = time.perf_counter()
        value = bounds.optimal_acceptance_lp(p, q, 2)
        program = time.perf_counter() - start
        ours = fastest({"": lambda p=p, q=q: bounds.optimal_acceptance(p, q, 2)}, 20)[""]
        difference = abs(value - bounds.optimal_acceptance(p, q, 2))
        entries.append(
            {"vocab_size": vocab_size, "ratio": program / ours, "difference": difference}
        )
    return entries


def independent_boxes(vocab_size: int) -> dict[str, float]:
    """Mean number of boxes that contract-and-branch looks at, per position."""
    target, draft = synthetic_logits("realistic", ROWS, vocab_size)
    curve = bounds.solve_curve_from_logits(
        target, draft, len(TEMPERATURES), "independent", draft_temperature=TEMPERATURES
    )
    assert curve.boxes is not None
    return {f"K={count}": float(curve.boxes[:, count - 1].mean()) for count in (2, 3, 4)}


def print_ratios(entries: list[dict[str, Any]]) -> None:
    """One Markdown table: a line per kind of rows, a column per solver."""
    names = list(entries[0]["ratios"])
    print("| rows | V | softmax, us | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 3) + "|")
    for entry in entries:
        cells = " | ".join(f"{entry['ratios'][name]:.1f}" for name in names)
        print(
            f"| {entry['rows']} | {entry['vocab_size']:,} | "
            f"{entry['softmax_us_per_row']:.0f} | {cells} |"
        )


def measure(sizes: Sequence[int], cache: str | None, repeats: int) -> dict[str, Any]:
    """Everything that is printed; the middle size serves where one is enough."""
    rows = [
        (shape, *synthetic_logits(shape, ROWS, size))
        for shape in ("flat", "realistic", "peaked")
        for size in sizes
    ]
    if cache:
        rows.append(("captured", *captured_logits(cache, ROWS)))
    middle = sizes[len(sizes) // 2]
    return {
        "environment": environment(),
        "ratios": [measure_rows(*each, repeats) for each in rows],
        "threads": measure_threads(middle, repeats),
        "independent_boxes": independent_boxes(middle),
        "linear_program": measure_linear_program(),
    }


def print_report(report: dict[str, Any]) -> None:
    """The table, and a line for each of the other measurements."""
    print_ratios(report["ratios"])
    threads = {name: round(value, 2) for name, value in report["threads"].items()}
    print("\nTwo threads against one:", threads)
    print("Boxes per position, independent drafts:", report["independent_boxes"])
    for entry in report["linear_program"]:
        print(
            f"HiGHS on the program at V = {entry['vocab_size']}, n = 2: "
            f"{entry['ratio']:,.0f} times our time, values differ by {entry['difference']:.0e}"
        )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", help="a capture whose rows are timed as well")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = measure(arguments.sizes, arguments.cache, arguments.repeats)
    print_report(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
