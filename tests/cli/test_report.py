from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.cli import main
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.cache_from_arrays import write_cache


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    target = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    write_cache(folder / "c", target, {"small": target[:, ::-1]})
    settings = SolveGrid(("with_replacement",), num_drafts=(1, 2)).settings(["small"])
    return solve_cache(LogitsCache.open(folder / "c"), settings, folder / "r.parquet").path


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_report_prints_the_table_it_writes(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mdbound(monkeypatch, "report", results, "--out", tmp_path / "new") == 0
    printed = capsys.readouterr().out
    mean = pl.read_parquet(results).filter(num_drafts=2)["acceptance"].to_numpy().mean()
    assert f"{mean:.3f}" in printed
    assert "6 documents, 6 positions" in printed
    for name in ("acceptance.csv", "acceptance.tex", "acceptance.md", "acceptance_long.csv"):
        assert (tmp_path / "new" / name).stat().st_size > 0
        assert f"wrote {tmp_path / 'new' / name}" in printed


@pytest.mark.parametrize("content", [None, b"PAR1", b""])
def test_what_is_no_results_file_is_one_line_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
) -> None:
    path = tmp_path / "r.parquet"
    if content is not None:
        path.write_bytes(content)
    assert mdbound(monkeypatch, "report", path, "--out", tmp_path / "new") == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert "mdbound solve" in error or "solve the capture again" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_seed_out_of_range_is_refused(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mdbound(monkeypatch, "report", results, "--out", tmp_path, "--seed", "-1") == 2
    assert "--seed -1" in capsys.readouterr().err
