"""`mdbound trees` on a capture of the tiny pair: rows, resuming, tables, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mdbound import paths
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.halves import halves
from mdbound.analysis.trees.bracket import crossed_depth_bound
from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_comparison import compare_trees
from mdbound.analysis.trees.tree_grid import DEPTH_BOUND, PathsShape, TreeGrid, parse_shapes
from mdbound.analysis.trees.tree_results import TREES_SCHEMA, holds_trees, open_trees
from mdbound.analysis.trees.tree_tables import (
    clustered_error,
    expected_lengths,
    sampled_lengths,
    write_tree_report,
)
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture, write_cache

pytest.importorskip("torch")
QUICK = Bootstrap(resamples=100)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    """Three paths of three tokens at contexts of six answers, in three shards."""
    folder = tmp_path_factory.mktemp("drafted")
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in ("sky", "sea", "ice", "ink", "jay", "flax")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(str(prompts),),
        out=folder / "cache",
        mode="generate",
        max_new_tokens=12,
        paths=3,
        length=3,
        path_contexts=3,
        shard_rows=20,
        batch_size=2,
        device="cpu",
    )
    capture(settings)
    return LogitsCache.open(folder / "cache")


@pytest.fixture(scope="module")
def results(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trees") / "trees.parquet"
    grid = TreeGrid(shapes=parse_shapes(["1:3", "2:2", "3:3"]), sampled=True)
    summary = run_on_trees(cache, grid, out)
    assert summary.contexts == 18
    return out


def rows_of_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def test_rows_are_one_for_each_context_tree_and_verifier(results: Path) -> None:
    frame = pl.read_parquet(results)
    assert frame.schema == dict(TREES_SCHEMA)
    keys = ["doc_id", "position", "tree", "verifier", "sampled"]
    assert frame.select(keys).is_unique().all()
    runs = frame.filter("sampled").select(keys[:4])
    summed = frame.filter(~pl.col("sampled") & (pl.col("verifier") != DEPTH_BOUND)).select(keys[:4])
    assert runs.sort(keys[:4]).equals(summed.sort(keys[:4]))
    whole = frame.filter(pl.col("accepted").is_not_null())
    sums = whole["tail"].list.sum().to_numpy()
    assert np.abs(whole["accepted"].to_numpy() - sums).max() < 1e-12
    assert (whole["tail"].list.len() == whole["depth"]).all()


def test_a_single_path_is_that_of_the_room_of_paths(cache: LogitsCache, results: Path) -> None:
    """Block verification of path 1 by its closed form, from logits read by hand."""
    frame = pl.read_parquet(results).filter(
        (pl.col("tree") == "1 path of 3 tokens") & ~pl.col("sampled")
    )
    found = {
        (row["doc_id"], row["position"]): row["tail"]
        for row in frame.filter(pl.col("verifier") == "block_first_path").iter_rows(named=True)
    }
    for one in cache.iter_paths(cache.path_draft_names[0]):
        p, q = (rows_of_softmax(x[0]) for x in (one.target_logits, one.draft_logits))
        path = one.tokens[0]
        lp, lq = (np.log(x[np.arange(3), path]) for x in (p[:3], q))
        rho = np.concatenate([[1.0], paths.accepted_tail(lp, lq, "block", "draft")])
        # The last token summed over: E of min(q, rho p).
        expected = [float(np.minimum(q[d], rho[d] * p[d]).sum()) for d in range(3)]
        assert found[one.doc_id, one.position] == pytest.approx(expected, abs=1e-9)
    rates = frame.filter(pl.col("verifier").is_in(["rrs_with_replacement", "k_seq"]))
    for _, group in rates.group_by("doc_id", "position"):
        assert group["accepted"][0] == pytest.approx(group["accepted"][1], abs=1e-9)


def test_the_same_run_again_changes_nothing_and_another_is_refused(
    cache: LogitsCache, results: Path
) -> None:
    before = results.read_bytes()
    grid = TreeGrid(shapes=parse_shapes(["1:3", "2:2", "3:3"]), sampled=True)
    run_on_trees(cache, grid, results)
    assert results.read_bytes() == before
    with pytest.raises(InvalidSettingError, match="another run"):
        run_on_trees(cache, TreeGrid(("gbv",)), results)


def test_an_interrupted_run_goes_on(cache: LogitsCache, tmp_path: Path) -> None:
    grid = TreeGrid(("traversal", "gbv"))
    whole = tmp_path / "whole.parquet"
    run_on_trees(cache, grid, whole)

    class Stopped(Exception):
        pass

    def stop(step: Any) -> None:
        if step.new == 10:
            raise Stopped

    out = tmp_path / "parts.parquet"
    with pytest.raises(Stopped):
        run_on_trees(cache, grid, out, on_progress=stop)
    assert not out.exists()
    assert len(list(out.with_name("parts.parquet.parts").glob("*.parquet"))) == 1
    seen: list[int] = []
    run_on_trees(cache, grid, out, on_progress=lambda step: seen.append(step.new))
    assert max(seen) < 18
    assert pl.read_parquet(out).equals(pl.read_parquet(whole))


def test_tables_and_comparison(results: Path, tmp_path: Path) -> None:
    opened = open_trees(results)
    means = expected_lengths(opened, QUICK)
    best = means.filter(pl.col("verifier") != DEPTH_BOUND).group_by("tree").agg(pl.max("mean"))
    assert means["standard_error"].is_not_null().all()
    by_hand = pl.read_parquet(results).filter(
        ~pl.col("sampled") & (pl.col("verifier") == "gbv") & (pl.col("num_paths") == 3)
    )["accepted"]
    row = means.filter((pl.col("verifier") == "gbv") & (pl.col("num_paths") == 3))
    assert row["mean"][0] == pytest.approx(by_hand.mean(), abs=1e-12)
    assert best.height == 3
    report = write_tree_report(opened, tmp_path, bootstrap=QUICK)
    text = (tmp_path / "expected_length.md").read_text()
    assert "no verifier above" in text
    assert "documents (3 and 3) it has the thresholds that were least on the other" in text
    assert "not tokens per call" in text
    assert {file.name for file in report.files} >= {"sampled_runs.md", "expected_length.tex"}
    compared = compare_trees(opened, bootstrap=QUICK)
    assert "traversal" in compared.table.caption
    assert all("traversal" not in row[0][-1] for row in compared.table.rows)


def test_files_side_by_side(cache: LogitsCache, tmp_path: Path) -> None:
    for name, shape in (("one", PathsShape(1, 3)), ("two", PathsShape(2, 3))):
        grid = TreeGrid(("gbv", "traversal"), (shape,))
        run_on_trees(cache, grid, tmp_path / f"{name}.parquet")
    one, two = (open_trees(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    both = write_tree_report(one, tmp_path / "both", bootstrap=QUICK, beside=[two])
    alone = write_tree_report(two, tmp_path / "alone", bootstrap=QUICK)
    assert both.table.values == ("1 path of 3 tokens", "2 paths of 3 tokens")
    assert [row[1][1] for row in both.table.rows] == [row[1][0] for row in alone.table.rows]
    with pytest.raises(InvalidSettingError, match="give each once"):
        write_tree_report(one, tmp_path / "twice", bootstrap=QUICK, beside=[one])


def test_tasks_of_few_documents_are_in_the_long_table_alone(results: Path, tmp_path: Path) -> None:
    opened = open_trees(results)
    half = pl.when(pl.col("doc_id") % 2 == 0).then(pl.lit("qa")).otherwise(pl.lit("chat"))
    tasks = replace(opened, frame=opened.frame.with_columns(half.alias("task")))
    report = write_tree_report(tasks, tmp_path, bootstrap=QUICK)
    assert report.table.labels == ("verifier",)
    assert any("not shown" in note for note in report.table.notes)
    long = pl.read_csv(tmp_path / "expected_length_long.csv")
    assert set(long["task"]) == {"all", "qa", "chat"}


def test_runs_with_coins_lie_within_their_errors(results: Path) -> None:
    runs = sampled_lengths(open_trees(results))
    assert (runs["difference"].abs() < 4.5 * runs["standard_error"] + 0.2).all()
    assert runs.height == 24


def test_bound_has_thresholds_of_the_other_half(results: Path) -> None:
    bound = crossed_depth_bound(open_trees(results))
    assert bound is not None
    assert bound.halves == (3, 3)
    frame = pl.read_parquet(results).filter(pl.col("verifier") == DEPTH_BOUND)
    one = frame.filter(pl.col("num_paths") == 3)
    found = bound.rows.filter(pl.col("num_paths") == 3)
    first, second = halves(one["doc_id"])
    least = []
    for own, other in ((first, second), (second, first)):
        of_other = np.array(one.filter(pl.col("doc_id").is_in(other))["bound_terms"].to_list())
        at = [int(of_other[:, d].mean(axis=0).argmin()) for d in range(of_other.shape[1])]
        for terms, value in zip(
            one.filter(pl.col("doc_id").is_in(own))["bound_terms"],
            found.filter(pl.col("doc_id").is_in(own))["accepted"],
            strict=True,
        ):
            assert value == pytest.approx(sum(row[k] for row, k in zip(terms, at, strict=True)))
        least.append(of_other.mean(axis=0).min(axis=1).sum())
    # The control: chosen on the same documents it would be smaller.
    assert float(found["accepted"].mean()) > np.mean(least)  # type: ignore[arg-type]
    assert clustered_error(bound.rows["accepted"], bound.rows["doc_id"])


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        (TreeGrid(shapes=(PathsShape(4, 3),)), "asks for more than the 3 paths"),
        (TreeGrid(("rrs_without_replacement",)), "does not suit"),
        (TreeGrid(drafts=("nobody",)), "drew no trees"),
    ],
)
def test_what_the_capture_does_not_hold(
    cache: LogitsCache, grid: TreeGrid, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettingError, match=says):
        run_on_trees(cache, grid, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_settings_and_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="cannot be run"):
        TreeGrid(("top_down_optimum",))
    for text in ("2", "2:x", "2:", "²:3"):
        with pytest.raises(InvalidSettingError, match="K:L"):
            parse_shapes([text])
    with pytest.raises(InvalidSettingError, match="whole number"):
        parse_shapes(["0:3"])
    plain = tmp_path / "plain.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(plain)
    assert not holds_trees(plain)
    with pytest.raises(CacheError, match="not a file of draft trees"):
        open_trees(plain)
    rows = np.zeros((4, 3), dtype=np.float32)
    write_cache(tmp_path / "arrays", rows, {"small": rows})
    with pytest.raises(InvalidSettingError, match="holds no drafted trees"):
        run_on_trees(LogitsCache.open(tmp_path / "arrays"), TreeGrid(), tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (
            "without_replacement",
            ["nss", "block_first_path", "traversal", "rrs_without_replacement", DEPTH_BOUND],
        ),
        ("greedy", ["nss", "greedy", "univer"]),
        ("top_k", ["nss"]),
    ],
)
def test_trees_of_a_topology(tmp_path: Path, law: str, expected: list[str]) -> None:
    """The verifiers that suit them, and of fixed trees the sum of p over their nodes."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        "\n".join(json.dumps({"prompt": f"Tell me of {x}."}) for x in ("ice", "fog"))
    )
    topology = tmp_path / "tree.json"
    topology.write_text("[[0], [1], [0, 0], [0, 1], [0, 0, 0]]")
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=tmp_path / "cache",
            mode="generate",
            max_new_tokens=8,
            tree=str(topology),
            tree_sampling=law,
            path_contexts=3,
            device="cpu",
        )
    )
    cache = LogitsCache.open(tmp_path / "cache")
    run_on_trees(cache, TreeGrid(sampled=True), tmp_path / "trees.parquet")
    frame = pl.read_parquet(tmp_path / "trees.parquet")
    sums = frame.filter(~pl.col("sampled"))
    assert sums["verifier"].unique(maintain_order=True).to_list() == expected
    assert frame["num_paths"].null_count() == frame.height
    assert set(frame["depth"]) == {3}
    if law != "top_k":
        return
    found = {row["position"]: row for row in sums.iter_rows(named=True)}
    for one in cache.iter_trees(cache.path_draft_names[0]):
        row = found[one.position]
        if row["doc_id"] != one.doc_id:
            continue
        p = {node: rows_of_softmax(logits) for node, logits in one.target_logits.items()}
        mass = 0.0
        for node in one.tree.nodes():
            mass += float(np.prod([p[node[:d]][t] for d, t in enumerate(node)]))
        assert row["accepted"] == pytest.approx(mass, abs=1e-9)
