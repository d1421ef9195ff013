"""The benchmark of the torch path runs on the CPU, and writes what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]


def test_benchmark_writes_rates_with_versions(tmp_path: Path) -> None:
    report = tmp_path / "device.json"
    command = [sys.executable, "-m", "benchmarks.torch_device", "--device", "cpu", "--rows", "2"]
    command += ["--vocab-size", "60", "--repeats", "1", "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| realistic | 60 | torch |" in done.stdout
    content = json.loads(report.read_text())
    assert {"torch", "numba", "device"} <= content["environment"].keys()
    assert len(content["rates"]) == 3
    for entry in content["rates"]:
        assert set(entry["torch"]) == set(entry["compiled"])
        assert 0.0 < min(entry["torch"].values()) < entry["copy"]
