"""Offsets chosen on one half of the documents: the other half has no say, and is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mdbound import trees
from mdbound.analysis.offsets.chosen_offsets import ChosenOffsets, read_offsets, write_offsets
from mdbound.analysis.paths.choosing.choose_offsets import choose_offsets
from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.statistics.halves import halves
from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_grid import PathsShape, TreeGrid
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture, write_cache

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    folder = tmp_path_factory.mktemp("offsets")
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in ("sky", "sea", "ice", "ink", "jay", "flax")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=folder / "cache",
            mode="generate",
            max_new_tokens=16,
            paths=2,
            length=3,
            path_contexts=2,
            shard_rows=20,
            batch_size=2,
            device="cpu",
        )
    )
    return LogitsCache.open(folder / "cache")


@pytest.fixture(scope="module")
def chosen(cache: LogitsCache) -> ChosenOffsets:
    return choose_offsets(cache, (2, 3), (1, 3))


def every_document(cache: LogitsCache) -> set[int]:
    return {doc for shard in cache.shards for doc in cache.read_positions(shard)["doc_id"]}


def test_the_best_of_those_tried_on_the_smaller_half(
    cache: LogitsCache, chosen: ChosenOffsets
) -> None:
    assert chosen.documents == tuple(sorted(halves(every_document(cache))[0]))
    assert [(each.num_paths, each.length) for each in chosen.shapes] == [
        (2, 1), (2, 3), (3, 1), (3, 3),
    ]  # fmt: skip
    found = chosen.of(2, 3)
    assert (found.kind, len(found.bins)) in (("gaussian", 3), ("pooled", 3))
    assert chosen.of(2, 1).bins == ((1.0,),)
    other = replace(chosen, documents=(), shapes=(replace(found, bins=((1.0,),) * 3),))
    worse = expected_length(cache, other, set(chosen.documents))
    assert found.expected_length >= worse - 1e-12
    again = expected_length(cache, replace(chosen, documents=()), set(chosen.documents))
    assert found.expected_length == pytest.approx(again, abs=1e-12)


def expected_length(cache: LogitsCache, offsets: ChosenOffsets, documents: set[int]) -> float:
    """E tau of windows of three tokens, by `mdbound paths`, of some documents."""
    grid = PathGrid((3,), ("quantile",), (2,), offsets=offsets)
    out = cache.path.parent / f"{abs(hash(str(offsets.as_dict())))}.parquet"
    run_on_capture(cache, grid, out)
    rows = open_paths(out).frame.collect()
    own = rows.filter(pl.col("doc_id").cast(pl.Int64).is_in(list(documents)))
    weights = own["positions"].to_numpy()
    sums = np.array([sum(tail) for tail in own["tail_positions"].to_list()])
    return float((sums * weights).sum() / weights.sum())


def test_the_reporting_half_never_reaches_the_choice(
    cache: LogitsCache, chosen: ChosenOffsets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows replaced by others change nothing; the control: those of the choosing half do."""
    real = LogitsCache.iter_batches

    def changed(documents: set[int]) -> Callable[..., Any]:
        def batches(self: LogitsCache, *args: Any, **options: Any) -> Any:
            for batch in real(self, *args, **options):
                rows = batch.positions["doc_id"].is_in(list(documents)).to_numpy()
                logits = {name: np.array(each) for name, each in batch.logits.items()}
                logits["target"][rows] *= 0.3
                yield replace(batch, logits=logits)

        return batches

    choosing = set(chosen.documents)
    monkeypatch.setattr(LogitsCache, "iter_batches", changed(every_document(cache) - choosing))
    assert choose_offsets(cache, (2, 3), (1, 3)) == chosen
    monkeypatch.setattr(LogitsCache, "iter_batches", changed(choosing))
    assert choose_offsets(cache, (2, 3), (1, 3)) != chosen


def test_results_are_of_the_other_half_and_keep_the_offsets(
    cache: LogitsCache, chosen: ChosenOffsets, tmp_path: Path
) -> None:
    others = every_document(cache) - set(chosen.documents)
    grid = PathGrid((3,), ("block", "quantile"), (2,), offsets=chosen)
    run_on_capture(cache, grid, tmp_path / "paths.parquet")
    paths = open_paths(tmp_path / "paths.parquet")
    assert {int(doc) for doc in paths.frame.collect()["doc_id"]} == others
    assert paths.provenance.settings[0]["offsets"] == chosen.as_dict()
    drawn = TreeGrid(("gbv", "quantile"), (PathsShape(2, 3),), offsets=chosen)
    summary = run_on_trees(cache, drawn, tmp_path / "trees.parquet")
    rows = pl.read_parquet(tmp_path / "trees.parquet")
    assert set(rows["doc_id"]) == others
    assert summary.contexts == 2 * len(others)
    # On another capture they were chosen in advance, for all of its documents.
    elsewhere = replace(chosen, capture="another")
    run_on_trees(cache, replace(drawn, offsets=elsewhere), tmp_path / "all.parquet")
    everything = pl.read_parquet(tmp_path / "all.parquet")
    assert set(everything["doc_id"]) == every_document(cache)
    shown = everything.filter(pl.col("doc_id").is_in(list(others)))
    assert shown.drop("bound_terms").equals(rows.drop("bound_terms"))
    # The control: other offsets accept another number of the same trees.
    plain = replace(drawn, offsets=None)
    run_on_trees(cache, plain, tmp_path / "plain.parquet")
    other = pl.read_parquet(tmp_path / "plain.parquet").filter(pl.col("doc_id").is_in(list(others)))
    rule = pl.col("verifier") == "quantile"
    assert other.filter(~rule).drop("bound_terms").equals(rows.filter(~rule).drop("bound_terms"))
    assert not other.filter(rule)["accepted"].equals(rows.filter(rule)["accepted"])


def test_the_file_is_read_as_it_was_written(chosen: ChosenOffsets, tmp_path: Path) -> None:
    write_offsets(chosen, tmp_path / "offsets.json")
    found = read_offsets(tmp_path / "offsets.json")
    assert found == chosen
    bins = [list(each) for each in found.of(3, 3).bins]
    assert trees.verifier("quantile", bins=bins).name == "quantile"


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda raw: raw.update(mdbound_offsets=2),
    "no shapes": lambda raw: raw.update(shapes=[]),
    "a shape twice": lambda raw: raw["shapes"].append(raw["shapes"][0]),
    "bins of another length": lambda raw: raw["shapes"][1].update(length=2),
    "a multiplier of 0": lambda raw: raw["shapes"][1]["bins"][0].__setitem__(0, 0.0),
    "a multiplier that is infinite": lambda raw: raw["shapes"][1]["bins"][0].__setitem__(0, 1e999),
    "a multiplier that is a text": lambda raw: raw["shapes"][1]["bins"][0].__setitem__(0, "1"),
    "more than one bin at the end": lambda raw: raw["shapes"][1]["bins"].__setitem__(2, [1.0, 2.0]),
    "thousands of bins": lambda raw: raw["shapes"][1]["bins"].__setitem__(0, [1.0] * 5000),
    "paths that are no number": lambda raw: raw["shapes"][1].update(num_paths=True),
    "a step of 0": lambda raw: raw.update(step=0),
    "documents that are none": lambda raw: raw.update(documents=["1"]),
    "no capture": lambda raw: raw.pop("capture"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_files_are_refused(chosen: ChosenOffsets, tmp_path: Path, how: str) -> None:
    raw = chosen.as_dict()
    HOSTILE[how](raw)
    (tmp_path / "offsets.json").write_text(json.dumps(raw))
    with pytest.raises(CacheError, match="is no file of offsets"):
        read_offsets(tmp_path / "offsets.json")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "null"])
def test_what_is_no_such_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "offsets.json").write_text(text)
    with pytest.raises(CacheError, match="is no file of offsets"):
        read_offsets(tmp_path / "offsets.json")
    with pytest.raises(CacheError, match="cannot be read"):
        read_offsets(tmp_path / "nowhere.json")


def test_what_cannot_be_chosen_or_used(
    cache: LogitsCache, chosen: ChosenOffsets, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettingError, match="not chosen for 4 paths of 3 tokens"):
        PathGrid((3,), ("quantile",), (4,), offsets=chosen)
    with pytest.raises(InvalidSettingError, match="not among `schemes`"):
        PathGrid((3,), ("block",), offsets=chosen)
    with pytest.raises(InvalidSettingError, match="no text of so many tokens"):
        choose_offsets(cache, (2,), (40,))
    rows = np.zeros((4, 5), dtype=np.float32)
    write_cache(tmp_path / "arrays", rows, {"d": rows})
    arrays = LogitsCache.open(tmp_path / "arrays")
    with pytest.raises(InvalidSettingError, match="text that was given"):
        choose_offsets(arrays, (2,), (2,))
