"""`mdbound path-bound`, `bracket`, `offsets`, and the figures that take them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mdbound.cli import main

pytest.importorskip("torch")
THINGS = ("rain", "snow", "hail", "fog", "dew")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return command


def test_from_a_capture_to_bounds_and_figures(run, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join(json.dumps({"prompt": f"Tell me of {x}."}) for x in THINGS))
    cache, offsets = tmp_path / "cache", tmp_path / "offsets.json"
    bound, verified = tmp_path / "bound.parquet", tmp_path / "trees.parquet"
    steps = (
        (
            *("capture", "--target", "tiny:target", "--draft", "tiny:draft", "--text", prompts),
            *("--mode", "generate", "--max-new-tokens", 8, "--paths", 2, "--length", 2),
            *("--path-every", 1, "--out", cache),
        ),
        ("path-bound", cache, "--shapes", "1:2,2:2,3:2", "--out", bound),
        ("offsets", cache, "--num-drafts", "2", "--length", "2", "--out", offsets),
        (
            *("trees", cache, "--shapes", "1:2,2:2", "--verifiers", "gbv,traversal"),
            *("--out", verified),
        ),
        ("report", verified, bound, "--out", tmp_path / "report", "--resamples", 200),
    )
    for arguments in steps:
        status, printed, error = run(*arguments)
        assert status == 0, error
    assert "no verifier above (path bound)" in printed
    assert "no verifier above (bound by depth)" in printed
    pytest.importorskip("matplotlib")
    for name, extra in (("paths-gap", ("--beside", bound)), ("paths-where", ())):
        out = tmp_path / f"{name}.png"
        status, printed, error = run(
            *("figure", name, verified, *extra, "--out", out, "--resamples", 200)
        )
        assert status == 0, error
        assert out.stat().st_size > 5000
    status, _, error = run(
        *("trees", cache, "--shapes", "2:2", "--verifiers", "quantile"),
        *("--offsets", offsets, "--out", tmp_path / "half.parquet"),
    )
    assert status == 0, error


def test_bracket_writes_its_table(run, tmp_path: Path) -> None:
    status, printed, error = run(
        *("bracket", "--shapes", "1:2", "--contexts", 64, "--out", tmp_path / "bracket")
    )
    assert status == 0, error
    assert "left, in % of the best verifier" in printed
    assert (tmp_path / "bracket" / "bracket.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bracket", "--contexts", 5, "--out", "b"), "--contexts 5"),
        (("path-bound", "missing", "--out", "b"), "missing"),
        (("path-bound", "missing", "--parameters", "none.json", "--out", "b"), "cannot be read"),
        (("figure", "two-drafts", "--beside", "x", "--out", "b.png"), "--beside"),
    ],
)
def test_mistakes_are_one_line(run, tmp_path: Path, monkeypatch, arguments, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, error = run(*arguments)
    assert status == 2
    assert says in error
    assert error.count("\n") == 1
