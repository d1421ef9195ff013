"""The referee of `trees`: true files pass, every column changed alone is found, wrong rules too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mdbound import trees
from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_grid import TreeGrid, parse_shapes
from mdbound.analysis.trees.tree_results import TREES_SCHEMA, open_trees, write_trees
from mdbound.analysis.verification.verify_trees import KEYS, small_law, text_error, verify_trees
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture
from mdbound.trees.verifiers.gbv import Gbv
from tests.analysis.conftest import make_cache
from tests.analysis.verification.tampering import other

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    folder = tmp_path_factory.mktemp("drafted")
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in ("sky", "sea", "ice")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=folder / "cache",
            mode="generate",
            max_new_tokens=8,
            paths=2,
            length=2,
            path_contexts=2,
            shard_rows=10,
            batch_size=2,
            device="cpu",
        )
    )
    return LogitsCache.open(folder / "cache")


@pytest.fixture(scope="module")
def results(drafted: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trees") / "trees.parquet"
    run_on_trees(drafted, TreeGrid(shapes=parse_shapes(["1:2", "2:2"]), sampled=True), out)
    return out


def corrupt(results: Path, out: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    opened = open_trees(results)
    write_trees([change(opened.frame.collect())], out, opened.provenance)
    return out


def test_true_files_pass(drafted: LogitsCache, results: Path) -> None:
    found = verify_trees(results, drafted, contexts=None)
    assert found.failures == []
    assert found.rows == found.total == found.checks["again"].rows
    assert found.checks["enumeration"].rows > 100
    assert found.checks["enumeration"].worst < 1e-12


def test_a_draw_says_its_power(drafted: LogitsCache, results: Path) -> None:
    found = verify_trees(results, drafted, contexts=2)
    assert found.passed
    assert found.power == pytest.approx(2 / 6)


@pytest.mark.parametrize("column", TREES_SCHEMA)
def test_every_column_changed_alone_is_found(
    drafted: LogitsCache, results: Path, tmp_path: Path, column: str
) -> None:
    frame = open_trees(results).frame.collect()
    rows = frame.with_row_index().filter(pl.col(column).is_not_null())["index"]
    row = int(rows[0]) if len(rows) else 0

    def change(before: pl.DataFrame) -> pl.DataFrame:
        values = before[column].to_list()
        if column == "bound_terms":
            values[row] = [*values[row][:-1], other(values[row][-1])]
        else:
            values[row] = other(values[row]) if len(rows) else 1
        return before.with_columns(pl.Series(column, values, dtype=TREES_SCHEMA[column]))

    wrong = corrupt(results, tmp_path / "w.parquet", change)
    # File-level faults are found whatever is drawn; values where the context is.
    found = verify_trees(wrong, drafted, contexts=1 if column in KEYS else None)
    assert not found.passed
    assert {failure.check for failure in found.failures} & (
        {"rows"} if column in KEYS else {"again"}
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.head(frame.height - 1),
        lambda frame: pl.concat([frame, frame.tail(1)]),
        lambda frame: pl.concat([frame.slice(1, 1), frame.slice(0, 1), frame.slice(2)]),
    ],
    ids=["dropped", "doubled", "swapped"],
)
def test_rows_are_counted(
    drafted: LogitsCache,
    results: Path,
    tmp_path: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame],
) -> None:
    found = verify_trees(corrupt(results, tmp_path / "w.parquet", change), drafted, contexts=1)
    assert "rows" in {failure.check for failure in found.failures}


def test_a_wrong_verifier_is_found_by_enumeration(
    drafted: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: where the run itself is wrong, doing it again says nothing, and sums do."""
    right = Gbv.tail

    def generous(self: Gbv, *arguments: object) -> list:
        return [min(1.0, 1.1 * value) for value in right(self, *arguments)]

    monkeypatch.setattr(Gbv, "tail", generous)
    grid = TreeGrid(verifiers=("gbv",), shapes=parse_shapes(["2:2"]))
    run_on_trees(drafted, grid, tmp_path / "r.parquet")
    found = verify_trees(tmp_path / "r.parquet", drafted, contexts=None)
    assert {failure.check for failure in found.failures} == {"enumeration"}


def test_a_law_that_loses_something_is_found() -> None:
    p = {(): (0.5, 0.25, 0.25), **{(k,): (0.2, 0.3, 0.5) for k in range(3)}}
    q = {(): (0.2, 0.3, 0.5), **{(k,): (0.5, 0.25, 0.25) for k in range(3)}}
    law = trees.Paths(2, 1)
    outcomes = trees.block_law(p, q, law, "gbv")
    assert text_error(outcomes, p, 1) < 1e-15
    wrong = dict(outcomes)
    first, second = list(wrong)[:2]
    moved = 0.01
    wrong[first] -= moved
    wrong[second] += moved
    assert text_error(wrong, p, 1) > 1e-4


def test_small_laws() -> None:
    assert small_law(trees.Paths(4, 8)) == trees.Paths(2, 2)
    assert small_law(trees.Branching((3, 3, 3), sampling="without_replacement")) == trees.Branching(
        (2, 2), sampling="without_replacement"
    )


def test_another_capture_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="another capture"):
        verify_trees(results, LogitsCache.open(make_cache(tmp_path / "c")))


def test_damaged_settings_are_named(drafted: LogitsCache, results: Path, tmp_path: Path) -> None:
    opened = open_trees(results)
    broken = [{**one, "seed": 5} for one in opened.provenance.settings]
    del broken[0]["shapes"]
    object.__setattr__(opened.provenance, "settings", broken)
    write_trees([opened.frame.collect()], tmp_path / "w.parquet", opened.provenance)
    with pytest.raises(CacheError, match="damaged settings"):
        verify_trees(tmp_path / "w.parquet", drafted)
