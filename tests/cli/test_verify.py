from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.solving.results import merge_parts, open_results
from mdbound.cli import main
from mdbound.logits_cache.store.cache_from_arrays import write_cache


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture
def solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": target[:, ::-1]})
    results = tmp_path / "r.parquet"
    assert (
        mdbound(monkeypatch, "solve", tmp_path / "c", "--out", results, "--num-drafts", "1,2") == 0
    )
    return results


def test_verify_prints_every_check_and_exits_0(
    solved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    arguments = ("verify", solved, "--cache", solved.parent / "c", "--rows", "6")
    assert mdbound(monkeypatch, *arguments, "--cvxpy-rows", "1") == 0
    printed = capsys.readouterr().out
    for words in (
        " rows drawn: a single wrong one",
        "certificate: ",
        "columns: ",
        "all checks passed",
    ):
        assert words in printed


def test_a_corrupted_file_exits_1_and_names_the_row(
    solved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_results(solved)
    part = solved.with_suffix(".part")
    opened.frame.collect().with_columns(pl.col("acceptance") - 1e-9).write_parquet(part)
    merge_parts([part], solved, opened.provenance)
    arguments = ("verify", solved, "--cache", solved.parent / "c", "--cvxpy-rows", "0")
    assert mdbound(monkeypatch, *arguments) == 1
    printed = capsys.readouterr().out
    assert "WRONG (certificate)" in printed
    assert "document 0, position 0" in printed
    assert "contradictions" in printed


def test_missing_results_are_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = np.zeros((1, 3), np.float32)
    write_cache(tmp_path / "c", target, {"small": target})
    assert mdbound(monkeypatch, "verify", tmp_path / "no", "--cache", tmp_path / "c") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_package_is_named_first(
    solved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mdbound.analysis.verification import verify

    monkeypatch.setattr(verify, "find_spec", lambda _: None)
    mdbound(monkeypatch, "verify", solved, "--cache", solved.parent / "c", "--rows", "1")
    assert capsys.readouterr().err.startswith("note: cvxpy is not installed")


def test_paths_and_trees_need_the_right_source(
    solved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "verify", solved) == 2
    assert "give --cache" in capsys.readouterr().err
    assert mdbound(monkeypatch, "verify", solved, "--logprobs", solved) == 2
    assert "--logprobs is for results of mdbound paths" in capsys.readouterr().err
