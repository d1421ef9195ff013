"""`mdbound paths`, and `report`, `figure` and `speedup` of what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from mdbound.cli import main

TEXTS = [
    {
        "id": f"doc-{number}",
        "task": "even" if number % 2 == 0 else "odd",
        "target_logprobs": [-0.1 * (1 + (number + k) % 5) for k in range(12)],
        "draft_logprobs": [-0.15 * (1 + (number + 2 * k) % 7) for k in range(12)],
        "finish_reason": "stop" if number % 3 else "length",
    }
    for number in range(8)
]


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    file = tmp_path / "numbers.jsonl"
    file.write_text("\n".join(map(json.dumps, TEXTS)))
    return file


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mdbound", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return command


def test_from_numbers_to_tables_and_figures(run, numbers: Path, tmp_path: Path) -> None:
    out = tmp_path / "paths.parquet"
    status, printed, _ = run("paths", "--logprobs", numbers, "--length", "1-4", "--out", out)
    assert status == 0
    assert "Tokens per target call" in printed
    assert "8 texts" not in printed  # notes are for the report
    assert pl.read_parquet(out).height == 8 * 4 * 4
    again = run("paths", "--logprobs", numbers, "--length", "1-4", "--out", out)
    assert again[:2] == (0, printed)

    status, printed, _ = run("report", out, "--out", tmp_path / "report", "--resamples", 200)
    assert status == 0
    assert "8 texts of 96 tokens; 3 ended by their limit" in printed
    assert "leaves 84 positions" in printed  # 5 whole texts of 12, 3 less 4 at the largest L
    names = {file.name for file in (tmp_path / "report").iterdir()}
    assert {"tokens_per_call.tex", "tokens_at_positions.md", "tokens_per_call_long.csv"} <= names
    assert "coupling optimum" in (tmp_path / "report/tokens_at_positions.md").read_text()
    assert "coupling optimum" not in (tmp_path / "report/tokens_per_call.md").read_text()

    for name in ("tokens-per-call", "accepted-depth"):
        figure = tmp_path / f"{name}.svg"
        status, printed, _ = run("figure", name, out, "--out", figure, "--resamples", 200)
        assert status == 0
        assert figure.read_text().count("<path") > 20

    table = tmp_path / "speedup"
    status, printed, _ = run(
        *("speedup", out, "--draft-cost", "0.05,0.3", "--out", table, "--resamples", 200),
        *("--figure", tmp_path / "map.svg"),
    )
    assert status == 0
    assert (tmp_path / "map.svg").stat().st_size > 10_000
    assert "best L" in printed
    assert (table / "speedup.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--length", "1"), "give a CACHE folder, or --logprobs FILE"),
        (("--length", "0", "--logprobs", "numbers.jsonl"), "--length 0: out of range"),
        (("--length", "99", "--logprobs", "numbers.jsonl"), "--length 99: out of range"),
        (("--schemes", "blok", "--logprobs", "numbers.jsonl"), "did you mean 'block'"),
        (("--draft", "small", "--logprobs", "numbers.jsonl"), "leave out --draft"),
        (("--last-level", "exact", "--logprobs", "numbers.jsonl"), "needs logits of the whole"),
        (("--last-level", "exakt", "cache"), "--last-level"),
        (("--temperature", "warm", "cache"), "--temperature warm"),
        (("--top-k", "9", "--logprobs", "numbers.jsonl"), "leave out --draft"),
        (("none",), "none"),
    ],
)
def test_refusals_are_one_line(
    run, numbers: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(numbers.parent)
    status, _, error = run("paths", *arguments, "--out", "out.parquet")
    assert status == 2
    assert error.count("\n") == 1
    assert message in error
    assert not Path("out.parquet").exists()


def test_other_commands_name_the_file_that_they_do_not_take(
    run, numbers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "paths.parquet"
    run("paths", "--logprobs", numbers, "--length", "2", "--out", out)
    for command in (
        ("figure", "acceptance", out, "--out", tmp_path / "a.png"),
        ("report", out, "--html"),
        ("speedup", numbers, "--draft-cost", "0.1"),
        ("speedup", out, "--draft-cost", "-1"),
        ("speedup", out, "--draft-cost", "0.1", "--figure", tmp_path / "map.png"),
    ):
        status, _, error = run(*command)
        assert status == 2, command
        assert error.count("\n") == 1, command


def test_rules_are_compared_with_token_by_token(run, numbers: Path, tmp_path: Path) -> None:
    out = tmp_path / "paths.parquet"
    run("paths", "--logprobs", numbers, "--length", "1-3", "--out", out)
    status, printed, _ = run("compare", out, "--out", tmp_path / "c", "--resamples", 200)
    assert status == 0
    assert "over those of token by token (SpS)" in " ".join(printed.split())
    rows = pl.read_parquet(out).filter(pl.col("calls").is_not_null())
    per_call = {
        scheme: rows.filter(scheme=scheme, draft_length=3)
        .select(pl.col("call_tokens").sum() / pl.col("calls").sum())
        .item()
        for scheme in ("single_draft", "block", "match")
    }
    table = (tmp_path / "c" / "comparison.csv").read_text().splitlines()
    for line in table:
        if line.startswith("block"):
            assert f"{per_call['block'] / per_call['single_draft']:.6f}"[:6] in line
    assert any(line.startswith("match") for line in table)
    # Not below 1 on any text, so in no resample of them.
    block = next(line for line in table if line.startswith("block")).split(",")[1:]
    assert min(map(float, block)) >= 1.0 - 1e-12
    run("paths", "--logprobs", numbers, "--schemes", "block", "--out", tmp_path / "one.parquet")
    status, _, error = run("compare", tmp_path / "one.parquet")
    assert (status, error.count("\n")) == (2, 1)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of the tiny target at temperature 1."""
    pytest.importorskip("torch")
    from mdbound.logits_cache import CaptureSettings, capture

    folder = tmp_path_factory.mktemp("answers")
    prompts = folder / "prompts.jsonl"
    things = ("sky", "sea", "ice", "ink", "jay", "flax", "iris", "gem")
    prompts.write_text("\n".join(json.dumps({"prompt": f"Say why {one} is."}) for one in things))
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=folder / "cache",
            mode="generate",
            max_new_tokens=24,
            batch_size=8,
            device="cpu",
        )
    )
    return folder / "cache"


def test_other_settings_of_the_target_are_weighted(run, answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    options = ("--length", "1,2", "--top-k", "3000", "--last-level", "exact", "--out", out)
    status, printed, _ = run("paths", answers, "--temperature", "0.97", *options)
    assert status == 0
    assert "Tokens of a call that starts at any position" in printed
    assert "Tokens per target call" not in printed
    line = next(line for line in printed.splitlines() if "weights leave" in line)
    assert line.startswith("temperature 0.97, top-k 3000: weights leave ")
    assert line.endswith("at L = 2; contexts are those of the text, and there are no calls")
    again = run("paths", answers, "--temperature", "0.97", *options)
    assert again[:2] == (0, printed)
    for command in (
        ("speedup", out, "--draft-cost", "0.1"),
        ("compare", out),
        ("figure", "tokens-per-call", out, "--out", tmp_path / "f.svg"),
        ("figure", "accepted-depth", out, "--out", tmp_path / "f.svg"),
    ):
        status, _, error = run(*command)
        assert (status, error.count("\n")) == (2, 1), command
    status, printed, _ = run("report", out, "--out", tmp_path / "report", "--resamples", 200)
    assert status == 0
    assert "Weighted to temperature 0.97, top-k 3000" in printed
    assert "summed over the vocabulary for single_draft, block, joint" in printed

    status, _, error = run(
        *("paths", answers, "--temperature", "0.3", "--length", "1-4"),
        *("--out", tmp_path / "far.parquet"),
    )
    assert (status, error.count("\n")) == (2, 1)
    assert "--temperature 0.3: weights leave" in error
    assert not (tmp_path / "far.parquet").exists()
