from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.cli import main
from mdbound.logits_cache import write_cache

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    positions = pl.DataFrame(
        {
            "doc_id": [0, 0, 1],
            "task": ["qa", "qa", "rag"],
            "position": [0, 1, 0],
            "token_id": [1, 2, 3],
            "next_token_id": [2, 3, 0],
        }
    )
    uniform = np.zeros((3, 4))
    write_cache(tmp_path / "cache", uniform, {"small": uniform}, positions, source="my stack")
    return tmp_path / "cache"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "argv", ["mdbound", "info", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        status = exit_info.value.code
        assert isinstance(status, int)
        return (status, *capsys.readouterr())

    return run_command


def test_tables(cache: Path, run: Run) -> None:
    status, text, _ = run(str(cache))
    assert status == 0
    for expected in ("my stack (2 documents)", "4 tokens", "3 in 1 shards", "1.3863"):
        assert expected in text
    assert "1.0000 ± 0.0000" in text
    assert "Not complete" not in text


def test_json(cache: Path, run: Run) -> None:
    status, text, _ = run(str(cache), "--json")
    assert status == 0
    content = json.loads(text)
    assert content["positions"] == 3
    assert content["vocab_size"] == 4
    assert content["tasks"] == [
        {"task": "qa", "documents": 1, "positions": 2},
        {"task": "rag", "documents": 1, "positions": 1},
    ]
    target, small = content["models"]
    assert target["entropy"] == pytest.approx(np.log(4))
    assert (target["acceptance"], small["acceptance"]) == (None, 1.0)


def test_incomplete_capture_is_said_to_be(cache: Path, run: Run) -> None:
    path = cache / "manifest.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, "complete": False}), encoding="utf-8")
    assert "Not complete" in run(str(cache))[1]


def test_capture_without_a_finished_shard(cache: Path, run: Run) -> None:
    path = cache / "manifest.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, "complete": False, "shards": []}), encoding="utf-8")
    assert "has no finished shard yet; run its capture again" in run(str(cache))[2]


def test_no_cache_is_one_line(tmp_path: Path, run: Run) -> None:
    status, _, error = run(str(tmp_path))
    assert status == 2
    assert error.startswith("mdbound: no logits cache at")
    assert error.count("\n") == 1
