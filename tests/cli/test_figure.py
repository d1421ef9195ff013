from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mdbound.cli import main

pytest.importorskip("matplotlib")


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_figure_is_written_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "f.png"
    assert mdbound(monkeypatch, "figure", "two-drafts", "--out", out, "--points", 5) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_figure_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "figure", "three-drafts", "--out", tmp_path / "f.png") == 2
    assert capsys.readouterr().err.count("\n") == 1
