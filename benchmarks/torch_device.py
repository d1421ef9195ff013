"""Bytes of logits per second that the bounds take in as torch operations on a device.

    python -m benchmarks.torch_device                    CUDA if there is one, otherwise the CPU
    python -m benchmarks.torch_device --device cpu --vocab-size 49152
    python -m benchmarks.torch_device --json FILE        with versions and the device's name

Rows of float32 logits of a target and one draft lie on the device; a call solves all n = 1..8, or
for independent drafts the draft at K temperatures. Its rate is the size of these logits over its
time, the device at rest before and after, the fastest of several. The yardstick is a copy on the
same device just before, counted as its bytes read and its bytes written. On the CPU the compiled
kernels are timed on the same memory, because they are what is used there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import torch

from benchmarks.side_by_side import environment, synthetic_logits
from mdbound import bounds

MAX_DRAFTS = 8
TEMPERATURES = (1.2, 2.0, 0.8, 1.5)
COPIED_BYTES = {"cpu": 2**27, "cuda": 2**32}
SHAPES = ("flat", "realistic", "peaked")
LAWS = ("with_replacement", "without_replacement", "greedy", "independent K=2", "independent K=3")


def seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Wall time of the fastest run after one that warms up, until the device is done."""
    best = float("inf")
    for repeat in range(repeats + 1):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        if repeat:
            best = min(best, time.perf_counter() - start)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def copy_rate(device: torch.device, repeats: int) -> float:
    """Bytes read and written per second by a copy on the device."""
    size = COPIED_BYTES[device.type]
    source = torch.ones(size // 8, dtype=torch.float64, device=device)
    copied = torch.empty_like(source)
    return 2.0 * size / seconds(lambda: copied.copy_(source), device, repeats)


def solve(target: Any, draft: Any, law: str) -> None:
    """All n of one law, from logits."""
    name, _, count = law.partition(" K=")
    if count:
        temperatures = TEMPERATURES[: int(count)]
        bounds.solve_curve_from_logits(
            target, draft, int(count), name, draft_temperature=temperatures
        )
    else:
        bounds.solve_curve_from_logits(target, draft, MAX_DRAFTS, name)


def measure(
    shape: str, rows: int, vocab_size: int, device: torch.device, repeats: int
) -> dict[str, Any]:
    """Bytes of logits per second for one kind of rows, by law."""
    logits = synthetic_logits(shape, rows, vocab_size)
    tensors = [torch.tensor(each, device=device) for each in logits]
    size = sum(each.nbytes for each in logits)
    entry: dict[str, Any] = {"rows": shape, "count": rows, "vocab_size": vocab_size, "torch": {}}
    entry["copy"] = copy_rate(device, repeats)
    for law in LAWS:
        took = seconds(lambda law=law: solve(*tensors, law), device, repeats)
        entry["torch"][law] = size / took
    if device.type == "cpu":
        took = {law: seconds(lambda law=law: solve(*logits, law), device, repeats) for law in LAWS}
        entry["compiled"] = {law: size / each for law, each in took.items()}
    return entry


def print_rates(entries: list[dict[str, Any]]) -> None:
    """One Markdown table: MB of logits per second, and in brackets per mille of the copy."""
    print("| rows | V | on | " + " | ".join(LAWS) + " |")
    print("|---|---:|---" + "|---:" * len(LAWS) + "|")
    for entry in entries:
        for kind in ("torch", "compiled"):
            if kind in entry:
                cells = " | ".join(
                    f"{entry[kind][law] / 1e6:,.0f} ({1e3 * entry[kind][law] / entry['copy']:,.1f})"
                    for law in LAWS
                )
                print(f"| {entry['rows']} | {entry['vocab_size']:,} | {kind} | {cells} |")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, help="rows per call; 8 on a CPU, otherwise 256")
    parser.add_argument("--vocab-size", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_cpu = device.type == "cpu"
    sizes = arguments.vocab_size or ([32_000] if on_cpu else [32_000, 151_936])
    rows = arguments.rows or (8 if on_cpu else 256)
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    entries = [
        measure(shape, rows, size, device, arguments.repeats) for size in sizes for shape in SHAPES
    ]
    name = "CPU, one thread" if on_cpu else torch.cuda.get_device_name(device)
    copied = [f"{entry['copy'] / 1e9:,.1f}" for entry in entries]
    print(f"{name}: copies move {', '.join(copied)} GB/s. Logits in MB/s (per mille of the copy).")
    print()
    print_rates(entries)
    if arguments.json:
        document = {
            "environment": environment() | {"torch": torch.__version__, "device": name},
            "rates": entries,
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
