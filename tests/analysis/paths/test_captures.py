"""Tokens per call of a capture: against its logits read by hand, and against a file of numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import bounds, paths, schemes
from mdbound.analysis.paths.path_results import PATHS_SCHEMA, open_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.run_paths import GIVEN, OF_TARGET, run_on_capture, run_on_logprobs
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture, write_cache

pytest.importorskip("torch")
TOKENS = 14


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    """Answers of the tiny target to six prompts, some of which end by themselves."""
    folder = tmp_path_factory.mktemp("answers")
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in ("sky", "sea", "ice", "ink", "jay", "flax")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(str(prompts),),
        out=folder / "cache",
        mode="generate",
        max_new_tokens=TOKENS,
        shard_rows=30,
        batch_size=2,
        device="cpu",
    )
    capture(settings)
    return LogitsCache.open(folder / "cache")


def numbers(cache: LogitsCache, draft_temperature: float = 1.0) -> dict[int, tuple[list, list]]:
    """log p and log q of every document's tokens, read one by one."""
    found: dict[int, tuple[list, list]] = {}
    for batch in cache.iter_batches(batch_rows=7):
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            pair = found.setdefault(place["doc_id"], ([], []))
            sides = (("target", 1.0), (cache.draft_names[0], draft_temperature))
            for values, (name, temperature) in zip(pair, sides, strict=True):
                logits = batch.logits[name][row].astype(np.float64) / temperature
                shifted = logits - logits.max()
                values.append(shifted[place["next_token_id"]] - np.log(np.exp(shifted).sum()))
    return found


def calls_by_hand(lp: list, lq: list, length: int) -> float:
    """E[calls] of block verification by following every accepted length from every start."""
    starts = np.zeros(len(lp) + length + 2)
    starts[0] = 1.0
    for s in range(len(lp)):
        ratios = np.exp(np.cumsum(np.array(lq[s : s + length]) - np.array(lp[s : s + length])))
        reach = [1.0, *np.minimum(1.0, np.minimum.accumulate(ratios)), 0.0]
        for accepted in range(len(reach) - 1):
            starts[s + accepted + 1] += starts[s] * (reach[accepted] - reach[accepted + 1])
    return float(starts[: len(lp)].sum())


def by_document(results: pl.DataFrame, scheme: str, length: int) -> dict[int, dict]:
    rows = results.filter((pl.col("scheme") == scheme) & (pl.col("draft_length") == length))
    return {int(row["doc_id"]): row for row in rows.to_dicts()}


def test_calls_of_every_text_are_those_of_its_logits(answers: LogitsCache, tmp_path: Path) -> None:
    grid = PathGrid(lengths=(1, 3), draft_temperatures=(None, 0.6))
    summary = run_on_capture(answers, grid, tmp_path / "p.parquet", batch_rows=5)
    assert summary.law == OF_TARGET
    assert summary.counts is not None
    assert summary.counts.texts == 12  # six texts, two draft temperatures
    rows = open_paths(summary.path).frame.collect()
    assert rows.schema == dict(PATHS_SCHEMA)
    for temperature in (1.0, 0.6):
        of_draft = rows.filter(pl.col("draft_temperature") == temperature)
        found = by_document(of_draft, "block", 3)
        assert set(found) == set(numbers(answers))
        for doc, (lp, lq) in numbers(answers, temperature).items():
            row = found[doc]
            assert row["tokens"] == len(lp)
            if row["finish_reason"] == "stop":
                assert row["calls"] == pytest.approx(calls_by_hand(lp, lq, 3), rel=1e-9)
                assert 1.0 + sum(row["tail_calls"]) == pytest.approx(
                    len(lp) / row["calls"], abs=1e-12
                )
            else:
                assert row["starts"] == max(len(lp) - 3, 0)


def test_numbers_in_a_file_give_the_same_rows(answers: LogitsCache, tmp_path: Path) -> None:
    of_cache = run_on_capture(answers, PathGrid(lengths=(2, 4)), tmp_path / "p.parquet")
    endings = by_document(open_paths(of_cache.path).frame.collect(), "block", 2)
    lines = [
        json.dumps(
            {
                "id": doc,
                "target_logprobs": lp,
                "draft_logprobs": lq,
                "finish_reason": endings[doc]["finish_reason"],
            }
        )
        for doc, (lp, lq) in numbers(answers).items()
    ]
    file = tmp_path / "numbers.jsonl"
    file.write_text("\n".join(lines))
    grid = PathGrid(lengths=(2, 4))
    of_file = run_on_logprobs(
        file, tmp_path / "l.parquet", schemes=grid.schemes, lengths=grid.lengths
    )
    kept = ("doc_id", "scheme", "draft_length", "tokens", "starts", "calls", "call_tokens")
    one, other = (open_paths(each.path).frame.collect() for each in (of_cache, of_file))
    assert one.select(kept[:5]).equals(other.select(kept[:5]))
    for name in kept[5:]:  # null for the rule without calls
        assert one[name].is_null().equals(other[name].is_null())
        counted = [each[name].drop_nulls().to_numpy() for each in (one, other)]
        np.testing.assert_allclose(*counted, rtol=1e-9)
    for a, b in zip(one["tail_positions"], other["tail_positions"], strict=True):
        assert (a is None) == (b is None)
        assert a is None or a.to_list() == pytest.approx(b.to_list(), rel=1e-9)
    # The control: numbers of the wrong tokens give other calls.
    moved = [json.loads(line) for line in lines]
    for each in moved:
        each["draft_logprobs"] = each["draft_logprobs"][1:] + each["draft_logprobs"][:1]
    file.write_text("\n".join(map(json.dumps, moved)))
    wrong = run_on_logprobs(
        file, tmp_path / "w.parquet", schemes=grid.schemes, lengths=grid.lengths
    )
    frame = open_paths(wrong.path).frame.collect()
    assert not np.allclose(frame["calls"].drop_nulls(), one["calls"].drop_nulls(), rtol=1e-3)


def test_an_interrupted_run_goes_on_and_a_finished_one_changes_nothing(
    answers: LogitsCache, tmp_path: Path
) -> None:
    grid, out = PathGrid(lengths=(2,)), tmp_path / "p.parquet"
    whole = run_on_capture(answers, grid, tmp_path / "whole.parquet")

    def stop(step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_on_capture(answers, grid, out, on_progress=stop)
    assert not out.exists()
    seen: list[int] = []
    run_on_capture(answers, grid, out, on_progress=lambda step: seen.append(step.done))
    assert seen[-1] == answers.num_positions
    assert open_paths(out).frame.collect().equals(open_paths(whole.path).frame.collect())
    before = out.read_bytes()
    assert run_on_capture(answers, grid, out).counts is None
    assert out.read_bytes() == before
    with pytest.raises(InvalidSettingError, match="belongs to another run"):
        run_on_capture(answers, PathGrid(lengths=(3,)), out)


def test_text_that_was_given_says_so(tmp_path: Path) -> None:
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=("python-docs:held-out",),
        out=tmp_path / "cache",
        limit=2,
        max_positions=9,
        device="cpu",
    )
    capture(settings)
    cache = LogitsCache.open(settings.out)
    grid = PathGrid(lengths=(2,), temperatures=(0.5,))
    summary = run_on_capture(cache, grid, tmp_path / "p.parquet")
    assert summary.law == GIVEN
    frame = open_paths(summary.path).frame.collect()
    assert frame["temperature"].unique().to_list() == [0.5]
    # The first positions of a text that goes on: its limit cut it.
    assert frame["finish_reason"].unique().to_list() == ["length"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(other)
    with pytest.raises(CacheError, match="not a file of tokens per call"):
        open_paths(other)


def test_schemes_of_one_position_verify_trees_node_by_node(
    answers: LogitsCache, tmp_path: Path
) -> None:
    """Each b is asked of the scheme by hand, and multiplied along the text."""
    names = ("single_draft", "rrs_with_replacement", "k_seq", "optimal")
    grid = PathGrid(lengths=(1, 2), schemes=names, num_drafts=(1, 2))
    rows = open_paths(run_on_capture(answers, grid, tmp_path / "p.parquet").path).frame.collect()
    rules = rows.select("scheme", "sampling", "num_drafts").unique()
    assert rules.height == 1 + 3 * 2
    found = by_document(rows.filter(pl.col("num_drafts") == 2), "k_seq", 2)
    b: dict[int, list[float]] = {}
    for batch in answers.iter_batches(batch_rows=9):
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            p, q = (
                bounds.distribution_from_logits(batch.logits[name][row])
                for name in ("target", answers.draft_names[0])
            )
            branch = schemes.get("k_seq").token_acceptance(p, q, 2, place["next_token_id"])
            b.setdefault(place["doc_id"], []).append(branch)
    for doc, values in b.items():
        windows = [values[s] * values[s + 1] for s in range(len(values) - 1)]
        first = [values[s] for s in range(len(values) - 1)]
        tail = found[doc]["tail_positions"]
        assert tail == pytest.approx([np.mean(first), np.mean(windows)], rel=1e-9)
    # With one child a node, all of them are speculative sampling token by token.
    one = rows.filter(pl.col("num_drafts") == 1)
    sps = by_document(rows, "single_draft", 2)
    for name in names[1:]:
        for doc, row in by_document(one, name, 2).items():
            assert row["calls"] == pytest.approx(sps[doc]["calls"], rel=1e-9), name
    # And with two, none takes fewer calls than the optimum at each node, in the mean of texts.
    two = rows.filter((pl.col("num_drafts") == 2) & (pl.col("draft_length") == 2))
    accepted = {
        name: two.filter(pl.col("scheme") == name)["tail_positions"].list.sum().mean()
        for name in names[1:]
    }
    assert accepted["optimal"] > accepted["k_seq"] > accepted["rrs_with_replacement"] - 0.05


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"schemes": ("gumbel_list",)}, "gumbel_list has no closed form.*; choose from .*k_seq"),
        ({"schemes": ("block", "importance_sampling")}, "importance_sampling has no.*optimal"),
        (
            {"schemes": ("rrs_without_replacement",), "num_drafts": (3,)},
            "rrs_without_replacement has no closed form.*; choose from .*rrs_with_replacement",
        ),
        ({"schemes": ("spechub",), "num_drafts": (3,)}, "not defined for any of `num_drafts`"),
        ({"schemes": ("optimal",), "sampling": ("gready",)}, "did you mean 'greedy'"),
    ],
)
def test_schemes_that_have_no_tokens_per_call(given: dict, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        PathGrid(**given)


def test_a_cache_of_arrays_has_texts_where_positions_follow_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0.0, 2.0, (2, 9, 6)).astype(np.float32)
    positions = pl.DataFrame(
        {
            "doc_id": [4] * 6 + [7] * 3,
            "task": ["qa"] * 9,
            "position": [0, 1, 2, 5, 6, 7, 0, 1, 2],
            "token_id": [0] * 9,
            "next_token_id": rng.integers(0, 6, 9),
        }
    )
    write_cache(tmp_path / "cache", logits[0], {"small": logits[1]}, positions)
    cache = LogitsCache.open(tmp_path / "cache")
    summary = run_on_capture(cache, PathGrid(lengths=(1,)), tmp_path / "p.parquet")
    assert summary.law == GIVEN
    rows = open_paths(summary.path).frame.filter(pl.col("scheme") == "block").collect()
    assert rows.select("doc_id", "turn", "tokens").rows() == [("4", 0, 3), ("4", 1, 3), ("7", 0, 3)]
    assert rows["finish_reason"].unique().to_list() == ["length"]
    lp, lq = numbers(cache)[7]
    first = [min(1.0, np.exp(b - a)) for a, b in zip(lp, lq, strict=True)]
    assert rows["tail_positions"][2].to_list() == pytest.approx([np.mean(first)], rel=1e-9)


def test_positions_without_a_token_of_the_vocabulary_are_named(tmp_path: Path) -> None:
    positions = pl.DataFrame(
        {"doc_id": [0, 0], "task": ["t"] * 2, "position": [0, 1], "token_id": [0, 1],
         "next_token_id": [1, 5]}
    )  # fmt: skip
    logits = np.zeros((2, 5), dtype=np.float32)
    write_cache(tmp_path / "cache", logits, {"small": logits}, positions)
    with pytest.raises(CacheError, match="row 1: no next_token_id of the 5"):
        run_on_capture(
            LogitsCache.open(tmp_path / "cache"), PathGrid(lengths=(1,)), tmp_path / "p.parquet"
        )


def test_several_paths_are_the_text_tail_of_their_numbers(
    answers: LogitsCache, tmp_path: Path
) -> None:
    grid = PathGrid(lengths=(3,), schemes=("block", "gbv"), num_drafts=(1, 2))
    rows = open_paths(run_on_capture(answers, grid, tmp_path / "p.parquet").path).frame.collect()
    below: dict[int, list[float]] = {}
    for batch in answers.iter_batches(batch_rows=9):
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            p, q = (
                bounds.distribution_from_logits(batch.logits[name][row])
                for name in ("target", answers.draft_names[0])
            )
            token = place["next_token_id"]
            ratio = p / q
            lower = (ratio < ratio[token]) | ((ratio == ratio[token]) & (np.arange(len(p)) > token))
            below.setdefault(place["doc_id"], []).append(q[lower].sum())
    found = by_document(rows.filter(pl.col("num_drafts") == 2), "gbv", 3)
    for doc, (lp, lq) in numbers(answers).items():
        whole = len(lp) - 2  # windows of three tokens that lie in the text
        tail = paths.gbv_text_tail(lp, lq, below[doc], 3, 2)[:whole].mean(axis=0)
        assert found[doc]["tail_positions"] == pytest.approx(tail.tolist(), rel=1e-7)
    # One path is block verification, and two accept more in the mean of texts.
    one = by_document(rows.filter(pl.col("num_drafts") == 1), "gbv", 3)
    for doc, row in by_document(rows, "block", 3).items():
        assert one[doc]["calls"] == pytest.approx(row["calls"], rel=1e-9)
    assert sum(row["calls"] or 0.0 for row in found.values()) < sum(
        row["calls"] or 0.0 for row in one.values()
    )
