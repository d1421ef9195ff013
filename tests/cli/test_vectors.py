from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mdbound.cli import main


def test_vectors_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "v.json"
    monkeypatch.setattr(sys, "argv", ["mdbound", "vectors", "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    assert f"wrote {out}: 18 problems of one position" in capsys.readouterr().out
    assert len(json.loads(out.read_text())["problems"]) == 18
