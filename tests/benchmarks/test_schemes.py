"""The benchmark runs, and writes what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mdbound import schemes

ROOT = Path(__file__).parents[2]


def test_benchmark_writes_ratios_with_versions(tmp_path: Path) -> None:
    report = tmp_path / "schemes.json"
    command = [sys.executable, "-m", "benchmarks.schemes", "--sizes", "100", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--json", str(report)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ratios to it" in done.stdout
    content = json.loads(report.read_text())
    assert {"numpy", "numba", "processor", "threads"} <= content["environment"].keys()
    assert {entry["scheme"] for entry in content["entries"]} == set(schemes.names())
    assert all(entry["ratio"] > 0.0 for entry in content["entries"])


def test_costs_that_the_command_line_tells_are_those_measured() -> None:
    """Within a factor of 2, at the largest vocabulary and number of drafts."""
    measured = json.loads((ROOT / "benchmarks/results/schemes.json").read_text())["entries"]
    largest = max(entry["vocab_size"] for entry in measured)
    for name in sorted({entry["scheme"] for entry in measured}):
        rows = [e for e in measured if e["scheme"] == name and e["vocab_size"] == largest]
        ratio = max(entry["ratio"] for entry in rows)
        told = schemes.get(name).softmaxes
        assert ratio / 2 <= told <= 2 * ratio or max(ratio, told) <= 10.0, (name, ratio)
