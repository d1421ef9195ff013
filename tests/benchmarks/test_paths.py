"""The benchmark of paths runs, and writes what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_benchmark_writes_seconds_and_ratios(tmp_path: Path) -> None:
    report = tmp_path / "paths.json"
    command = [sys.executable, "-m", "benchmarks.paths", "--sizes", "100", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--json", str(report)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "100000 positions x L=8 x 4 schemes" in done.stdout
    content = json.loads(report.read_text())
    assert {"numpy", "numba", "processor", "threads"} <= content["environment"].keys()
    assert all(entry["seconds"] > 0.0 for entry in content["entries"])
    assert {entry.get("scheme") for entry in content["entries"]} == {
        None,
        *(
            f"{one}{how}"
            for one in ("single_draft", "block", "asps", "joint")
            for how in ("", " by rows")
        ),
    }
