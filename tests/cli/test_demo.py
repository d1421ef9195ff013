from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.demo import DemoFolder, capture_tiny_pair, solve_tiny_pair
from mdbound.analysis.tables.table import Table
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
    laws = ("with_replacement", "without_replacement", "greedy", "independent")
    # A table of each law as soon as it is solved, and one of all at the end.
    assert printed.count("Optimal acceptance") == len(laws) + 1
    assert all(printed.count(law) >= 2 for law in laws)
    assert not (out / "laws").exists()
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


def test_an_interrupted_demo_keeps_the_laws_that_were_solved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("mdbound.analysis.demo.POSITIONS_PER_DOCUMENT", 1)
    folder = DemoFolder(tmp_path)
    capture_tiny_pair(folder)

    def stop(table: Table) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_tiny_pair(folder, on_law=stop)
    first = folder.of_law("with_replacement").stat().st_mtime_ns
    seen: list[int] = []

    def keep(table: Table) -> None:
        if not seen:
            seen.append(folder.of_law("with_replacement").stat().st_mtime_ns)

    summary = solve_tiny_pair(folder, on_law=keep)
    assert seen == [first]
    assert summary.rows == pl.read_parquet(folder.results).height == 24 * 4 * 8
