"""The benchmark of quantile-score selection runs, and writes what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_benchmark_writes_ratios(tmp_path: Path) -> None:
    report = tmp_path / "quantile.json"
    command = [sys.executable, "-m", "benchmarks.quantile", "--sizes", "100", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--json", str(report)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rows to all L = 1..8, K = 2..8" in done.stdout
    content = json.loads(report.read_text())
    assert {"numpy", "numba", "processor"} <= content["environment"].keys()
    assert len(content["entries"]) == 3
    assert all(entry["ratio"] > 0.0 for entry in content["entries"])
