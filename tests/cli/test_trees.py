"""`mdbound trees`, `tree-search`, `figure tree` and `figure tree-gap`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mdbound.cli import main

pytest.importorskip("torch")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    texts = [f"Tell me of {thing}." for thing in ("rain", "snow", "hail", "fog")]
    file.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    return file


def test_from_a_capture_to_tables(run, prompts: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    status, _, error = run(
        *("capture", "--target", "tiny:target", "--draft", "tiny:draft", "--text", prompts),
        *("--mode", "generate", "--max-new-tokens", 10, "--paths", 2, "--length", 2),
        *("--path-contexts", 2, "--out", cache),
    )
    assert status == 0, error
    out = tmp_path / "trees.parquet"
    command = ("trees", cache, "--out", out, "--sampled", "--verifiers", "gbv,traversal,quantile")
    status, printed, error = run(*command)
    assert status == 0, error
    assert "quantile-score selection" in printed
    assert "no verifier above (bound by depth)" in printed
    assert "8 contexts" in printed
    report = tmp_path / "report"
    status, printed, _ = run("report", out, "--out", report, "--resamples", 200)
    assert status == 0
    assert "mean over positions" in printed
    assert (report / "sampled_runs.md").exists()
    assert run("report", out, "--html")[0] == 2
    status, printed, _ = run("compare", out, "--resamples", 200)
    assert status == 0
    assert "less that of traversal" in printed

    found = tmp_path / "topologies"
    status, printed, error = run(
        *("tree-search", cache, "--budget", "2,4", "--max-depth", 3, "--max-children", 2),
        *("--draft-cost", 0.1, "--out", found),
    )
    assert status == 0, error
    assert "speed-up, draft cost 0.1" in printed
    assert len(json.loads((found / "nodes-4.json").read_text())) == 4
    status, printed, _ = run(
        "figure", "tree", found / "nodes-4.json", "--out", tmp_path / "tree.svg"
    )
    assert status == 0
    assert "4 drafted tokens" in printed

    for bad, says in (
        (("trees", cache, "--out", tmp_path / "x", "--verifiers", "univer"), "--verifiers"),
        (("trees", cache, "--out", tmp_path / "x", "--shapes", "3:2"), "--shapes 3:2"),
        (("tree-search", cache, "--out", found, "--rule", "gbv"), "--rule 'gbv'"),
    ):
        status, _, error = run(*bad)
        assert status == 2
        if bad[0] != "trees" or "--shapes" in bad:
            assert says in error
        assert error.count("\n") == 1


def test_figures_without_results(run, tmp_path: Path) -> None:
    gap = tmp_path / "gap.svg"
    status, printed, error = run("figure", "tree-gap", "--instances", 2, "--out", gap)
    assert status == 0, error
    assert "optimum of one call" in printed
    assert gap.stat().st_size > 10_000
    assert (tmp_path / "gap.csv").exists()
    status, printed, _ = run("figure", "tree", "2x4", "--out", tmp_path / "tree.pdf")
    assert status == 0
    assert "30 drafted tokens, depth 4, 15 nodes" in printed
    for bad, says in (
        (("figure", "tree", "--out", gap), "give one, such as 2x4"),
        (("figure", "tree", "nonsense", "--out", gap), "no name and no file"),
        (("figure", "tree-gap", gap, "--instances", 2, "--out", gap), "manifest"),
        (("figure", "tree-gap", "--instances", 1, "--out", gap), "--instances 1"),
    ):
        status, _, error = run(*bad)
        assert (status, error.count("\n")) == (2, 1)
        assert says in error


def test_full_trees_are_said_to_need_no_capture(run, prompts: Path, tmp_path: Path) -> None:
    pair = ("capture", "--target", "tiny:target", "--draft", "tiny:draft", "--text", prompts)
    short = ("--mode", "generate", "--max-new-tokens", 4, "--limit", 1, "--path-contexts", 1)
    for topology, said in (("2x2", True), ("eagle_sparse_25", False)):
        out = tmp_path / topology
        status, _, error = run(*pair, *short, "--tree", topology, "--out", out)
        assert status == 0, error
        assert ("need no captured trees" in error) == said
    status, printed, _ = run("info", tmp_path / "2x2")
    assert status == 0
    assert "tree of 6 nodes, without_replacement at" in " ".join(printed.split())
