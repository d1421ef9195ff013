"""The referee of `paths`: true files pass, every column changed alone is found, so are rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import paths
from mdbound.analysis.paths import tallies
from mdbound.analysis.paths.path_results import PATHS_SCHEMA, open_paths, write_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.run_paths import run_on_capture, run_on_logprobs
from mdbound.analysis.verification.text_oracle import expected_total
from mdbound.analysis.verification.verify_paths import KEYS, verify_paths
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.cache_from_arrays import write_cache
from tests.analysis.conftest import make_cache
from tests.analysis.verification.tampering import other

GRID = PathGrid(
    lengths=(1, 2, 3),
    schemes=("match", "single_draft", "block", "joint", "gbv", "quantile", "k_seq", "optimal"),
    drafts=("small",),
    draft_temperatures=(None, 0.7),
)


@pytest.fixture(scope="module")
def results(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verify") / "paths.parquet"
    run_on_capture(cache, GRID, out)
    return out


def corrupt(results: Path, out: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    opened = open_paths(results)
    frame = change(opened.frame.collect()).cast(dict(PATHS_SCHEMA))  # type: ignore[arg-type]
    write_paths([frame], out, opened.provenance)
    return out


def test_true_files_pass(cache: LogitsCache, results: Path) -> None:
    found = verify_paths(results, cache, texts=None)
    assert found.failures == []
    assert found.rows == found.total == found.checks["again"].rows
    assert found.checks["tails"].rows > 100
    assert found.checks["calls"].rows > 500
    assert max(found.checks[name].worst for name in ("tails", "calls")) < 1e-11


@pytest.fixture(scope="module")
def likely(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    """Texts of the likeliest tokens, which no cut rules out."""
    rng = np.random.default_rng(2)
    target = rng.normal(scale=2.0, size=(24, 12)).astype(np.float32)
    draft = (target + rng.normal(size=target.shape)).astype(np.float32)
    positions = pl.DataFrame(
        {
            "doc_id": np.arange(24) // 8,
            "task": "qa",
            "position": np.arange(24) % 8,
            "token_id": 0,
            "next_token_id": target.argmax(axis=1),
        }
    )
    folder = tmp_path_factory.mktemp("likely") / "cache"
    write_cache(folder, target, {"small": draft}, positions, shard_rows=10)
    return LogitsCache.open(folder)


@pytest.mark.parametrize(
    "options",
    [
        {"last_level": "exact"},
        {"last_level": "exact", "lengths": (2,), "draft_temperatures": (0.7,)},
        {"top_k": (4,)},
        {"min_p": (0.2,), "top_p": (0.9,), "last_level": "exact"},
        {"temperatures": (0.0,), "draft_temperatures": (0.0, 1.0)},
    ],
)
def test_other_settings_pass(likely: LogitsCache, tmp_path: Path, options: dict) -> None:
    rules = ("match", "single_draft", "block", "joint")
    grid = PathGrid(**{"lengths": (1, 2), "drafts": ("small",), "schemes": rules} | options)
    run_on_capture(likely, grid, tmp_path / "r.parquet")
    found = verify_paths(tmp_path / "r.parquet", likely, texts=None)
    assert found.failures == []
    assert found.checks["tails"].rows > 20


@pytest.mark.parametrize("column", PATHS_SCHEMA)
def test_every_column_changed_alone_is_found(
    cache: LogitsCache, results: Path, tmp_path: Path, column: str
) -> None:
    frame = open_paths(results).frame.collect()
    block = (frame["scheme"] == "block") & (frame["draft_length"] == 2)
    row = int(block.arg_max() or 0)

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        values = rows[column].to_list()
        changed = other(values[row])
        # A null becomes a value of its kind.
        values[row] = changed if values[row] is not None else _some(PATHS_SCHEMA[column])
        return rows.with_columns(pl.Series(column, values, dtype=PATHS_SCHEMA[column]))

    wrong = corrupt(results, tmp_path / "w.parquet", change)
    found = verify_paths(wrong, cache, texts=1)
    assert {failure.check for failure in found.failures} >= {"again"}, column
    named = [failure.claimed for failure in found.failures if failure.check == "again"]
    assert column in KEYS or column in named


def _some(kind: pl.DataType) -> object:
    if kind == pl.String():
        return "x"
    return [0.5] if isinstance(kind, pl.List) else 1


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.head(frame.height - 1),
        lambda frame: pl.concat([frame, frame.tail(1)]),
        lambda frame: pl.concat([frame.slice(1, 1), frame.slice(0, 1), frame.slice(2)]),
        lambda frame: frame.with_columns(
            pl.when(pl.col("calls").is_null()).then("calls").otherwise(None).alias("calls")
        ),
    ],
    ids=["dropped", "doubled", "swapped", "null"],
)
def test_rows_are_counted(
    cache: LogitsCache,
    results: Path,
    tmp_path: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame],
) -> None:
    found = verify_paths(corrupt(results, tmp_path / "w.parquet", change), cache, texts=1)
    assert not found.passed


def test_a_wrong_rule_is_found_by_the_oracle(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: where the run itself is wrong, doing it again says nothing, and definitions do."""
    right = paths.tally_texts

    def joint_for_block(p: object, q: object, lengths: object, rules: object, **rest: object):
        found = right(p, q, lengths, rules, **rest)
        wrong = right(p, q, lengths, ["match" if rule == "block" else rule for rule in rules])
        return [
            each if each.scheme != "block" else _named_block(instead)
            for each, instead in zip(found, wrong, strict=True)
        ]

    def _named_block(tally: object) -> object:
        object.__setattr__(tally, "scheme", "block")
        return tally

    monkeypatch.setattr(tallies.paths, "tally_texts", joint_for_block)
    grid = PathGrid(lengths=(2,), schemes=("single_draft", "block"), drafts=("small",))
    run_on_capture(cache, grid, tmp_path / "r.parquet")
    found = verify_paths(tmp_path / "r.parquet", cache, texts=None)
    checks = {failure.check for failure in found.failures}
    assert checks == {"tails", "calls"}
    assert all("block" in failure.row for failure in found.failures)


def test_files_of_log_probabilities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [
        {
            "id": f"t{number}",
            "target_logprobs": (-rng.exponential(size=12)).tolist(),
            "draft_logprobs": (-rng.exponential(size=12)).tolist(),
            "finish_reason": "stop" if number % 2 else "length",
        }
        for number in range(4)
    ]
    source = tmp_path / "texts.jsonl"
    source.write_text("\n".join(map(json.dumps, lines)))
    run_on_logprobs(source, tmp_path / "r.parquet", schemes=("block", "match"), lengths=(1, 3))
    found = verify_paths(tmp_path / "r.parquet", source, texts=None)
    assert found.failures == []
    assert found.checks["tails"].rows > 20
    wrong = corrupt(
        tmp_path / "r.parquet",
        tmp_path / "w.parquet",
        lambda frame: frame.with_columns(pl.col("calls") * (1.0 + 1e-9)),
    )
    assert not verify_paths(wrong, source).passed
    source.write_text(source.read_text() + "\n")
    with pytest.raises(InvalidSettingError, match="is of another file"):
        verify_paths(tmp_path / "r.parquet", source)


def test_another_capture_and_damaged_settings(results: Path, tmp_path: Path) -> None:
    another = LogitsCache.open(make_cache(tmp_path / "c", rows=20))
    with pytest.raises(InvalidSettingError, match="another capture"):
        verify_paths(results, another)


def test_damaged_settings_are_named(cache: LogitsCache, results: Path, tmp_path: Path) -> None:
    opened = open_paths(results)
    broken = [{**one, "lengths": "many"} for one in opened.provenance.settings]
    object.__setattr__(opened.provenance, "settings", broken)
    write_paths([opened.frame.collect()], tmp_path / "w.parquet", opened.provenance)
    with pytest.raises(CacheError, match="damaged settings"):
        verify_paths(tmp_path / "w.parquet", cache)


def test_calls_by_following_every_length() -> None:
    """The backward recursion against all ways through a text of five tokens."""
    rng = np.random.default_rng(1)
    tails = [np.sort(rng.random(3))[::-1].tolist() for _ in range(5)]

    def walk(s: int) -> float:
        if s >= 5:
            return 0.0
        reach = [1.0, *tails[s][: min(3, 5 - s - 1)], 0.0]
        ways = range(len(reach) - 1)
        return 1.0 + sum((reach[l] - reach[l + 1]) * walk(s + l + 1) for l in ways)

    assert expected_total(tails, [1.0] * 5) == pytest.approx(walk(0), abs=1e-14)
