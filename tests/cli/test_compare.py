from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mdbound.cli import main
from mdbound.logits_cache.store.cache_from_arrays import write_cache


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_compare_prints_and_writes_every_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": target[:, ::-1]})
    results = tmp_path / "r.parquet"
    solve = ("solve", tmp_path / "c", "--out", results, "--num-drafts", "1,2", "--schemes", "all")
    assert mdbound(monkeypatch, *solve) == 0
    capsys.readouterr()
    assert mdbound(monkeypatch, "compare", results, "--out", tmp_path / "new") == 0
    printed = capsys.readouterr().out
    for words in ("Gap:", "Share of the possible gain", "Share of the positions", "k_seq", "seed"):
        assert words in printed
    for name in ("rates.tex", "gaps.md", "shares.csv", "optimal.csv", "comparison.parquet"):
        assert f"wrote {tmp_path / 'new' / name}" in printed
        assert (tmp_path / "new" / name).stat().st_size > 0


def test_results_without_schemes_are_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": target[:, ::-1]})
    results = tmp_path / "r.parquet"
    mdbound(monkeypatch, "solve", tmp_path / "c", "--out", results, "--num-drafts", "1")
    assert mdbound(monkeypatch, "compare", results) == 2
    error = capsys.readouterr().err
    assert "--schemes all" in error
    assert error.count("\n") == 1
