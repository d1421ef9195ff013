from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.cli import main
from mdbound.logits_cache.store.cache_from_arrays import write_cache


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    target = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": target[:, ::-1]})
    path = tmp_path / "law.toml"
    path.write_text(
        'capture = "c"\nnum_drafts = [1, 2]\nsampling = "greedy"\nschemes = "greedy"\n'
        "resamples = 199\ntemperature = [0.5, 1.0]\n"
    )
    return path


def test_sweep_runs_a_study_and_then_has_nothing_to_do(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "sweep", study) == 0
    first = capsys.readouterr().out
    assert "4 settings, 4 solved now, 0 before" in first
    out = study.parent / "law"
    for name in ("results.parquet", "means.csv", "acceptance.tex", "gap.md", "study.json"):
        assert f"wrote {out / name}" in first
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert mdbound(monkeypatch, "sweep", study) == 0
    assert "4 settings, 0 solved now, 4 before" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_options_beat_the_file(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = study.parent / "elsewhere"
    options = ("--out", out, "--set", "temperature=0.7", "--set", "limit_per_task=1")
    assert mdbound(monkeypatch, "sweep", study, *options) == 0
    printed = capsys.readouterr().out
    assert "2 settings, 2 solved now" in printed
    assert "TRUNCATED RUN" in printed
    assert (out / "means.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "temprature=1"], "did you mean 'temperature'"),
        (["--set", "temperature=-1"], "temperature -1.0"),
        (["--set", "capture=missing"], "missing"),
        (["--nothing"], "--nothing"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_status_2(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    assert mdbound(monkeypatch, "sweep", study, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_sweep_runs_a_study_of_tokens_per_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 20, 9)).astype(np.float32)
    positions = pl.DataFrame(
        {
            "doc_id": [0] * 10 + [1] * 10,
            "task": ["qa"] * 20,
            "position": [*range(10)] * 2,
            "token_id": [0] * 20,
            "next_token_id": rng.integers(0, 9, 20),
        }
    )
    write_cache(tmp_path / "c", logits[0], {"small": logits[1]}, positions)
    path = tmp_path / "calls.toml"
    path.write_text(
        'command = "paths"\ncapture = "c"\nlength = "1-3"\nresamples = 199\n'
        'temperature = [0.5, 1.0]\nlast_level = "exact"\n'
    )
    assert mdbound(monkeypatch, "sweep", path) == 0
    first = capsys.readouterr().out
    assert "2 settings, 2 solved now, 0 before" in first
    out = tmp_path / "calls"
    for name in ("paths.parquet", "tokens_per_call.tex", "tokens_at_positions.md", "study.json"):
        assert f"wrote {out / name}" in first
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert mdbound(monkeypatch, "sweep", path) == 0
    assert "2 settings, 0 solved now, 2 before" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    assert mdbound(monkeypatch, "sweep", path, "--set", "temperature=[0.5,1.0,1.3]") == 0
    assert "3 settings, 1 solved now, 2 before" in capsys.readouterr().out
    for options, message in (
        (("--set", "length=0"), "length 0"),
        (("--set", "task=qa"), 'command = "solve"'),
        (("--set", "draft=larg"), "draft"),
    ):
        assert mdbound(monkeypatch, "sweep", path, *options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
