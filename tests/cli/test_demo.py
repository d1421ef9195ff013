from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from mdbound.cli import main


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_demo_runs_end_to_end_and_a_second_run_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    # A few positions of each section: the whole demo is the job of `make demo`.
    monkeypatch.setattr("mdbound.analysis.demo.POSITIONS_PER_DOCUMENT", 2)
    out = tmp_path / "demo"
    assert mdbound(monkeypatch, "demo", "--out", out) == 0
    printed = capsys.readouterr().out
    for law in ("with_replacement", "without_replacement", "greedy", "independent"):
        assert law in printed
    rows = pl.read_parquet(out / "results.parquet")
    assert rows["num_drafts"].max() == 8
    assert rows["acceptance"].null_count() == 0
    assert rows["acceptance"].is_between(0.0, 1.0 + 1e-12).all()
    assert rows["doc_id"].n_unique() >= 20
    names = {file.name for file in (out / "report").iterdir()}
    assert {"acceptance.csv", "acceptance.md", "acceptance.tex", "acceptance_long.csv"} <= names

    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert mdbound(monkeypatch, "demo", "--out", out) == 0
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    assert capsys.readouterr().out == printed
