from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mdbound.analysis.solving.results import open_results
from mdbound.cli import main
from mdbound.logits_cache import LogitsCache
from tests.logits_cache.small_models import make_pair

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture")
    make_pair(folder)
    lines = [{"text": f"Prompt {i}", "task": "ab"[i % 2]} for i in range(4)]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "prompts.jsonl").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command inside the folder; returns exit status, stdout and stderr."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["mdbound", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        status = exit_info.value.code
        assert isinstance(status, int)
        return (status, *capsys.readouterr())

    return run_command


def options(out: Path, **changes: str) -> list[str]:
    defaults = {"target": "big", "draft": "small", "text": "prompts.jsonl", "device": "cpu"}
    settings = {**defaults, "out": str(out), **changes}
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def test_generate_then_add_a_draft(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    generate = ["--mode", "generate", "--max-new-tokens", "3", "--no-chat-template"]
    status, line, _ = run("capture", *options(out, task="a, b"), *generate)
    assert status == 0
    opened = LogitsCache.open(out)
    assert opened.manifest.text.tasks == ("a", "b")
    assert opened.manifest.generation.chat_template is False
    size = f"{opened.num_positions} positions"
    assert line.startswith(f"{out}: {size}, ")
    assert line.endswith(" positions/s\n")
    assert " KiB on disk, " in line
    adding = ["capture", "--into", str(out), "--draft-skip-layers", "1,2", "--device", "cpu"]
    status, _, error = run(*adding)
    assert (status, error.count("\n")) == (2, 1)
    assert f"{out} says that its target is 'big'; give it as --target if" in error
    status, line, _ = run(*adding, "--target", "big")
    assert status == 0
    assert LogitsCache.open(out).draft_names == ("small", "skip-1-2")


def test_paths_are_kept_and_shown(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    generate = ["--mode", "generate", "--max-new-tokens", "3", "--temperature", "0.8"]
    asked = ["--paths", "2", "--length", "3", "--path-contexts", "1"]
    status, _, _ = run("capture", *options(out), *generate, *asked)
    assert status == 0
    found = list(LogitsCache.open(out).iter_paths("small"))
    assert [paths.tokens.shape for paths in found] == [(2, 3)] * 4
    status, table, _ = run("info", str(out))
    assert status == 0
    assert "paths       2 paths of 3 tokens at 4 contexts, by small\n" in table
    shown = json.loads(run("info", str(out), "--json")[1])
    assert shown["paths"] == [{"draft": "small", "contexts": 4}]
    assert shown["generation"]["paths"]["warpers"]["temperature"] == 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paths", "2", "--length", "3"], "--paths is about answers; add --mode generate"),
        (["--mode", "generate", "--paths", "0", "--length", "3"], "--paths 0: give at least 1"),
        (["--mode", "generate", "--paths", "2", "--length", "0"], "--length 0: give at least 1"),
        (["--mode", "generate", "--paths", "2"], "Give --length"),
        (["--mode", "generate", "--path-contexts", "2"], "--path-contexts is about paths"),
    ],
)
def test_bad_paths_are_one_line(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, _, error = run("capture", *options(tmp_path / "cache"), *arguments)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1


def test_paths_without_a_cache_are_refused(run: Run, tmp_path: Path) -> None:
    asked = ["--paths", "2", "--length", "3"]
    where = ["--target", "big", "--draft", "small", "--text", "prompts.jsonl", "--mode", "generate"]
    out = tmp_path / "results.parquet"
    status, _, error = run("capture", *where, *asked, "--solve", str(out))
    assert status == 2
    assert "--paths are kept as logits, and solving while capturing keeps none" in error
    status, _, error = run("capture", "--into", str(tmp_path), "--target", "big", *asked)
    assert status == 2
    assert "--into adds drafts to what the cache holds" in error


def test_score_is_the_default_and_resumes(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    assert run("capture", *options(out, limit="2"))[0] == 0
    status, line, _ = run("capture", *options(out, limit="2"))
    assert (status, "nothing left to do" in line) == (0, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "absent.txt"}, "no text file absent.txt"),
        ({"target": "./absent"}, "no model folder './absent'"),
        ({"draft": "absent.gguf"}, "no model file absent.gguf"),
        ({"task": "c"}, "--task 'c' is unknown: it can be a, b"),
        ({"mode": "dream"}, "--mode 'dream' is unknown"),
        ({"temperature": "1"}, "add --mode generate"),
        ({"draft-skip-layers": "x"}, "give layer numbers"),
        ({"into": "cache"}, "adds drafts to what the cache holds"),
        ({"limit": "many"}, "--limit"),
    ],
)
def test_bad_input_is_one_line(
    run: Run, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    status, _, error = run("capture", *options(tmp_path / "cache", **changes))
    assert status == 2
    assert message in error
    assert error.startswith("mdbound: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_solve_writes_results_and_no_logits(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    arguments = [part for part in options(out) if part != "--out"]
    arguments.insert(arguments.index(str(out)), "--solve")
    solving = ["--num-drafts", "1,2", "--sampling", "greedy", "--solve-temperature", "0.5,1"]
    status, line, _ = run("capture", *arguments, *solving, "--solve-top-k", "9")
    assert (status, list(tmp_path.iterdir())) == (0, [out])
    results = open_results(out)
    positions = results.frame.select("doc_id", "position").unique().collect().height
    assert line == f"{out}: {4 * positions:,} rows, {positions:,} positions\n"
    (setting, _) = results.provenance.settings
    assert (setting["sampling"], setting["num_drafts"]) == ("greedy", [1, 2])
    cut = {"temperature": 0.5, "top_k": 9, "top_p": None, "min_p": None}
    assert setting["warpers"] == cut
    assert results.provenance.command.startswith("mdbound capture --target big")
    assert "solved before" in run("capture", *arguments, *solving, "--solve-top-k", "9")[1]
    status, _, error = run("capture", *arguments, *solving)
    assert (status, "belongs to another run: setting 1: top_k was 9" in error) == (2, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "cache"}, "--solve r.parquet writes results and no logits"),
        ({"into": "cache"}, "give it without --out and --into"),
        ({"solve-temperature": "-1"}, "--solve-temperature -1.0: out of range"),
        ({"solve-draft-temperature": "x"}, "--solve-draft-temperature x: not a number"),
        ({"solve-top-k": "0"}, "--solve-top-k 0: out of range"),
        ({"sampling": "best"}, "--sampling 'best' is unknown"),
        ({"sampling": "independent"}, "as in --solve-draft-temperature 1.2,2.0"),
        ({"num-drafts": "0"}, "--num-drafts 0: out of range"),
    ],
)
def test_bad_solving_is_one_line(run: Run, changes: dict[str, str], message: str) -> None:
    given = {"target": "big", "draft": "small", "text": "prompts.jsonl", "solve": "r.parquet"}
    arguments = [part for name, value in (given | changes).items() for part in (f"--{name}", value)]
    status, _, error = run("capture", *arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert not list(Path().glob("r.parquet*"))


def test_solving_options_need_solve(run: Run, tmp_path: Path) -> None:
    error = run("capture", *options(tmp_path / "cache"), "--solve-top-p", "0.9")[2]
    assert "--solve-top-p is about solving; add --solve" in error


def test_missing_options(run: Run) -> None:
    assert "--target is missing" in run("capture")[2]
    assert "--out is missing" in run("capture", "--target", "big")[2]


def test_help_shows_an_example_that_runs(run: Run) -> None:
    status, text, _ = run("capture", "--help")
    assert status == 0
    assert "Example: mdbound capture --target tiny:target" in " ".join(text.split())
