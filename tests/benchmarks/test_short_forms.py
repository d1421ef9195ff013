"""Every benchmark runs, at sizes that take seconds, and writes what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(*words: object) -> str:
    """Run a benchmark as its README says; return what it prints."""
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    assert {"mdbound", "numpy", "numba", "processor"} <= content["environment"].keys()
    return content


def test_solver(tmp_path: Path) -> None:
    report = tmp_path / "solver.json"
    printed = run("benchmarks.solver", "--sizes", 300, "--repeats", 1, "--json", report)
    assert "| realistic | 300 |" in printed
    content = written(report)
    assert len(content["ratios"]) == 3
    for entry in content["ratios"]:
        assert {"with_replacement", "without_replacement", "greedy"} < entry["ratios"].keys()
        assert min(entry["ratios"].values()) > 0.0
    assert all(entry["difference"] < 1e-9 for entry in content["linear_program"])


def test_canonical() -> None:
    printed = run(
        *("benchmarks.canonical", "--rows", 2, "--vocab-size", 300, "--draws", 20_000),
    )
    assert printed.count("2/2") == 9  # three kinds of rows, three n
    assert printed.count("20,000 draws") == 9


def test_linear_program() -> None:
    row = json.loads(run("benchmarks.linear_program", "--one", "highs", 2, 20, "with_replacement"))
    assert row["difference"] < 1e-9
    assert row["seconds"] > 0.0


def test_end_to_end(tmp_path: Path) -> None:
    report = tmp_path / "runs.json"
    run("benchmarks.end_to_end", "--rows", 8, "--vocab-size", 300, "--json", report)
    runs = written(report)["runs"]
    assert [each["law"] for each in runs] == ["with_replacement", "without_replacement", "greedy"]
    assert all(each["positions"] == 8 and each["ratio"] > 0.0 for each in runs)
