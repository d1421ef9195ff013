from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import bounds
from mdbound.analysis.solving.results import open_results
from mdbound.cli import main
from mdbound.logits_cache.store.cache_from_arrays import write_cache

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mdbound ...` in this process: exit status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/mdbound", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(6, 9)).astype(np.float32)
    folder = tmp_path_factory.mktemp("captures") / "c"
    write_cache(folder, target, {"small": target + 1e-1, "other": target[:, ::-1]}, shard_rows=4)
    return folder


def test_solve_writes_results_and_says_what(run: Run, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    status, stdout, _ = run(
        *("solve", cache, "--out", out, "--temperature", "0.7,1.0", "--top-k", "none,5"),
        *("--num-drafts", "1,3", "--sampling", "greedy", "--draft", "small"),
    )
    assert status == 0
    assert "48 rows, 6 positions, 4 settings" in stdout
    opened = open_results(out)
    assert opened.frame.collect()["num_drafts"].unique().to_list() == [1, 3]
    assert opened.provenance.command.startswith(f"mdbound solve {cache} --out ")


def test_min_p_is_a_setting(run: Run, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    cut = ("--min-p", "none,0.3", "--draft", "other", "--num-drafts", "1", "--sampling", "greedy")
    assert run("solve", cache, "--out", out, *cut)[0] == 0
    rows = open_results(out).frame.collect()
    means = rows.group_by("min_p").agg(pl.col("acceptance").mean()).sort("min_p")
    assert means["min_p"].to_list() == [None, 0.3]
    assert means["acceptance"][0] > means["acceptance"][1] > 0.0
    error = run("solve", cache, "--out", out, "--min-p", "1.5")[2]
    assert "--min-p 1.5: out of range; give shares in [0, 1], or none" in error


def test_solving_again_reports_that_nothing_was_left_to_do(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    arguments = ("solve", cache, "--out", tmp_path / "r.parquet", "--num-drafts", "1")
    run(*arguments)
    assert "6 positions had been solved before" in run(*arguments)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-drafts", "0"], "--num-drafts 0"),
        (["--num-drafts", "few"], "--num-drafts few"),
        (["--temperature", "-1"], "--temperature -1.0"),
        (["--top-p", "2"], "--top-p 2.0"),
        (["--sampling", "replaced"], "--sampling 'replaced'"),
        (["--draft", "smal"], "did you mean 'small'"),
        (["--batch-rows", "0"], "--batch-rows 0"),
        (["--batch-rows", "many"], "--batch-rows"),
    ],
)
def test_a_bad_option_is_one_line_and_status_2(
    run: Run, cache: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "r.parquet"
    status, stdout, stderr = run("solve", cache, "--out", out, *options)
    assert status == 2
    assert message in stderr
    assert (stdout, stderr.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_a_missing_cache_says_how_to_make_one(run: Run, tmp_path: Path) -> None:
    status, _, stderr = run("solve", tmp_path / "none", "--out", tmp_path / "r.parquet")
    assert (status, stderr.count("\n")) == (2, 1)
    assert "mdbound capture" in stderr


def test_another_run_in_the_file_is_refused_and_kept(run: Run, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    run("solve", cache, "--out", out, "--num-drafts", "1")
    before = out.read_bytes()
    status, _, stderr = run("solve", cache, "--out", out, "--num-drafts", "2")
    assert status == 2
    assert "num_drafts was [1], now [2]" in stderr
    assert out.read_bytes() == before


def test_the_defaults_of_the_help_are_what_happens(run: Run, cache: Path, tmp_path: Path) -> None:
    run("solve", cache, "--out", tmp_path / "r.parquet")
    rows = pl.read_parquet(tmp_path / "r.parquet")
    assert rows["num_drafts"].unique().sort().to_list() == list(range(1, 9))
    assert rows["sampling"].unique().sort().to_list() == ["with_replacement", "without_replacement"]
    assert rows["temperature"].unique().to_list() == [1.0]
    assert rows["draft"].unique().sort().to_list() == ["other", "small"]


def test_schemes_are_rated_and_those_left_out_are_named(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.parquet"
    status, stdout, _ = run(
        *("solve", cache, "--out", out, "--schemes", "all", "--num-drafts", "1-2"),
        *("--sampling", "with_replacement", "--draft", "small", "--limit-per-task", "2"),
        *("--vocabulary-size", "5", "--scheme-samples", "20"),
    )
    assert status == 0
    assert "left out: greedy: it drafts greedy; add that to --sampling" in stdout
    assert "left out: single_draft: not defined for n = 2" in stdout
    rows = pl.read_parquet(out)
    assert rows["vocabulary_size"].unique().to_list() == [5]
    assert {"bound", "k_seq", "nss", "first_draft"} < set(rows["scheme"])


def test_a_scheme_misspelt_is_corrected(run: Run, cache: Path, tmp_path: Path) -> None:
    status, _, stderr = run(
        "solve", cache, "--out", tmp_path / "r.parquet", "--schemes", "k-seq", "--num-drafts", "2"
    )
    assert status == 2
    assert "did you mean 'k_seq'" in stderr


def test_a_name_of_two_schemes_is_refused(run: Run, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    status, _, stderr = run("solve", cache, "--out", out, "--schemes", "k_seq,naive")
    assert status == 2
    assert len(stderr.splitlines()) == 1
    assert "'naive' stands for two: ask for 'nss'" in stderr
    assert "'first_draft'" in stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ([1], "1 rows at 1 positions met no error bound; their acceptance is null: "),
        (range(6), "6 rows at 6 positions met no error bound; their acceptance is null: "),
    ],
)
def test_unsolved_positions_are_named(
    run: Run,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad: list[int],
    line: str,
) -> None:
    """A bound without error bound is null in the file; the summary names the first positions."""
    solve = bounds.solve_curve_from_logits
    seen = [0]

    def sometimes(target, *arguments, **options):  # type: ignore[no-untyped-def]
        curve = solve(target, *arguments, **options)
        rows = [row for row in range(len(target)) if seen[0] + row in bad]
        seen[0] += len(target)
        curve.acceptance[rows, 1] = np.nan
        return curve

    monkeypatch.setattr(bounds, "solve_curve_from_logits", sometimes)
    out = tmp_path / "r.parquet"
    arguments = ("--num-drafts", "1-2", "--sampling", "greedy", "--draft", "small")
    status, stdout, _ = run("solve", cache, "--out", out, *arguments)
    assert status == 0
    positions = pl.read_parquet(out).select("doc_id", "position").unique(maintain_order=True)
    places = [f"document {doc} position {place}" for doc, place in positions.rows()]
    named = ", ".join([places[row] for row in bad][:5])
    assert line + named + (", and 1 more" if len(bad) == 6 else "") + "\n" in stdout
    assert pl.read_parquet(out)["acceptance"].null_count() == len(bad)


def test_what_schemes_cost_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = np.random.default_rng(0).normal(size=(2, 9)).astype(np.float32)
    write_cache(tmp_path / "c", target, {"small": target[:, ::-1]})
    command = ("mdbound", "solve", str(tmp_path / "c"), "--num-drafts", "2")
    for names, said in (
        ("k_seq", "each costs a few softmaxes"),
        ("k_seq,gumbel_list", "a position and setting: gumbel_list about"),
    ):
        out = str(tmp_path / f"{len(names)}.parquet")
        monkeypatch.setattr(sys, "argv", [*command, "--schemes", names, "--out", out])
        with pytest.raises(SystemExit):
            main()
        assert said in capsys.readouterr().err
