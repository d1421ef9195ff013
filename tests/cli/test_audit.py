"""`mdbound audit`: statuses, a plug-in of the page, files, and the battery."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mdbound.cli import main
from tests.docs.pages import DOCS


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of ten lines of the page, in a folder of its own."""
    page = (DOCS / "audit.md").read_text(encoding="utf-8")
    code = page.split("<!-- plug-in -->\n```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "kernel.py").write_text(code, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(
        "def law(target, draft, drafted):\n    return {drafted[0]: 1.0}\n"
        "def run(target, draft, drafted, rng):\n    return drafted[0]\n"
        "def broken(target, draft, drafted):\n    raise RuntimeError('no kernel')\n"
        "NUMBER = 3\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    for name in ("kernel", "wrong"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def mdbound(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_plug_in_of_the_page_is_lossless(
    plug_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "audit", "kernel:output_law", "--num-drafts", "1") == 0
    printed = capsys.readouterr()
    assert "running the code of module kernel" in printed.err
    assert "lossless: the output has the target's law" in printed.out
    assert "point-mass draft" in printed.out


def test_a_wrong_rule_ends_with_1_and_a_witness(
    plug_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "audit", "wrong:law", "--num-drafts", "1,2") == 1
    printed = capsys.readouterr().out
    assert printed.count("NOT LOSSLESS") == 2
    assert "token 0: 0, must be 1" in printed
    assert "above what a lossless rule accepts" in printed


def test_json_is_for_machines(
    plug_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "audit", "wrong:law", "--num-drafts", "1", "--json") == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["lossless"] is False
    assert report["witness"]["expected"] == "1"
    assert len(report["problems"]) == 14


def test_samplers(
    plug_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("audit", "wrong:run", "--sampler", "--num-drafts", "1", "--runs", "500")
    assert mdbound(monkeypatch, *run) == 1
    assert "odds of 10^" in capsys.readouterr().out


def test_a_table_for_other_languages_goes_round(
    plug_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdbound(monkeypatch, "audit", "--list", "--json", "--num-drafts", "1") == 0
    table = json.loads(capsys.readouterr().out)
    for problem in table["problems"]:
        for branch in problem["branches"]:
            branch["output"] = {
                str(token): mass for token, mass in enumerate(problem["target"])
            }  # a rule that ignores its drafts
    Path("table.json").write_text(json.dumps(table), encoding="utf-8")
    assert mdbound(monkeypatch, "audit", "table.json") == 0
    assert "lossless" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--kind", "path", "--length", "2"), "a path of 2: 15 problems"),
        (("--kind", "tree", "--tree", "2x2"), "14 problems"),
        (("--num-drafts", "2"), "rows that cross: 1/2 5/16 3/16 | 3/16 1/2 5/16"),
    ],
)
def test_the_battery_is_shown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    text: str,
) -> None:
    assert mdbound(monkeypatch, "audit", "--list", *arguments) == 0
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("k_seq", "--num-drafts", "2"), "k_seq, 2 drafts with_replacement: lossless"),
        (("spechub",), "spechub, 2 drafts hub_pairs: lossless"),
        (("block", "--length", "2", "--fractions"), "a path of 2: lossless"),
        (("traversal", "--tree", "2x1", "--fractions"), "law exactly"),
        (("quantile", "--num-drafts", "2", "--length", "1"), "2 paths of 1 tokens: lossless"),
    ],
)
def test_rules_of_ours(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    text: str,
) -> None:
    assert mdbound(monkeypatch, "audit", *arguments) == 0
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "is empty: give module:function"),
        (("kseq",), "did you mean 'k_seq'?"),
        (("k_seq", "--kind", "path"), "for a path 'k_seq' is unknown"),
        (("none:law",), "module 'none' cannot be imported"),
        (("wrong:nothing",), "has no function 'nothing'"),
        (("wrong:NUMBER",), "has no function 'NUMBER'"),
        (("wrong:broken",), "RuntimeError: no kernel"),
        (("wrong:law", "--sampling", "pairs"), "--sampling 'pairs' is unknown"),
        (("wrong:law", "--num-drafts", "9"), "--num-drafts 9: give 1 to 4"),
        (("missing.json",), "No such file"),
        (("missing.jsonl",), "No such file"),
    ],
)
def test_what_cannot_be_said_ends_with_2(
    plug_in: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert mdbound(monkeypatch, "audit", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_too_few_lines_of_a_trace_cannot_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"target": {"0": 0.5, "1": 0.5}, "draft": {"0": 1.0}, "drafted": [0], "output": 1}
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert mdbound(monkeypatch, "audit", file) == 2
    assert "cannot say: 1 lines" in capsys.readouterr().out
