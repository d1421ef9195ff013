"""Drafted trees: what is stored is what the models say at every node, and what the law draws."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")

from mdbound import trees
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import LogitsCache
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.store.captured_paths import CapturedTree
from tests.logits_cache.capturing.test_paths import alone
from tests.logits_cache.small_models import VOCAB_SIZE

SettingsFor = Callable[..., CaptureSettings]
SLOTS = "[[0], [1], [0, 0], [0, 1], [1, 0], [0, 0, 0]]"


@pytest.fixture
def topology(tmp_path: Path) -> str:
    file = tmp_path / "tree.json"
    file.write_text(SLOTS)
    return str(file)


def all_trees(cache: Path, draft: str = "small") -> list[CapturedTree]:
    return list(LogitsCache.open(cache).iter_trees(draft))


def context_of(cache: Path, one: CapturedTree) -> list[int]:
    opened = LogitsCache.open(cache)
    for row in opened.read_documents(opened.shards[one.shard]):
        last = one.position - row["offset"]
        if row["doc_id"] == one.doc_id and row["first_row"] <= last < len(row["token_ids"]) - 1:
            return list(row["token_ids"][: last + 1])
    raise AssertionError("no such context")


@pytest.mark.parametrize("law", ["without_replacement", "with_replacement", "greedy", "top_k"])
def test_rows_are_those_of_the_models_alone(
    settings_for: SettingsFor, pair: tuple[str, str], tmp_path: Path, topology: str, law: str
) -> None:
    capture(settings_for(tree=topology, tree_sampling=law, path_contexts=2, limit=2))
    cache = tmp_path / "cache"
    found = all_trees(cache)
    assert len(found) == 4
    worst = 0.0
    for one in found:
        context = context_of(cache, one)
        assert set(one.draft_logits) == set(one.target_logits) == set(one.tree.internal())
        for logits, folder in ((one.target_logits, pair[0]), (one.draft_logits, pair[1])):
            for node, row in logits.items():
                expected = alone(folder, [*context, *node], VOCAB_SIZE)[-1]
                worst = max(worst, float(np.abs(row - expected).max()))
        drawn = {node: len(tokens) for node, tokens in one.tree.drafted.items()}
        assert drawn[()] == 2
        assert one.tree.depth == 3
        if law != "with_replacement":
            assert sum(drawn.values()) == 6
    assert worst < 1e-4
    other = context_of(cache, found[1])
    assert np.abs(found[0].target_logits[()] - alone(pair[0], other, VOCAB_SIZE)[-1]).max() > 0.1


def test_fixed_trees_follow_the_stored_rows(
    settings_for: SettingsFor, tmp_path: Path, topology: str
) -> None:
    capture(settings_for(tree=topology, tree_sampling="top_k", path_contexts=1))
    law = trees.Branching(trees.topology(topology), "top_k")
    for one in all_trees(tmp_path / "cache"):
        rows = {
            node: tuple((np.exp(row) / np.exp(row).sum()).tolist())
            for node, logits in one.draft_logits.items()
            for row in [logits.astype(np.float64) - logits.max()]
        }
        ((expected, _),) = law.trees(rows)
        assert expected.drafted == one.tree.drafted


def test_trees_do_not_depend_on_what_is_beside_them(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    capture(settings_for(tree="2x2", out=tmp_path / "a", path_contexts=3))
    capture(settings_for(tree="2x2", out=tmp_path / "b", path_contexts=3, batch_size=1))
    one, other = all_trees(tmp_path / "a"), all_trees(tmp_path / "b")
    assert [x.tree.drafted for x in one] == [x.tree.drafted for x in other]
    assert len({tuple(sorted(x.tree.drafted.items())) for x in one}) > 1


def test_paths_are_trees_too(settings_for: SettingsFor, tmp_path: Path) -> None:
    capture(settings_for(paths=3, length=2, path_contexts=2))
    opened = LogitsCache.open(tmp_path / "cache")
    for path, tree in zip(opened.iter_paths("small"), opened.iter_trees("small"), strict=True):
        assert tree.tree == trees.tree_of_paths(path.tokens)
        for k, tokens in enumerate(path.tokens.tolist()):
            for depth in range(3):
                row = tree.target_logits[tuple(tokens[:depth])]
                np.testing.assert_array_equal(row, path.target_logits[k, depth])


def change_nodes(cache: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    file = next((cache / "nodes-small").glob("*.parquet"))
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)


TAMPERED: dict[str, Callable[[list[dict[str, Any]]], None]] = {
    "a draw twice": lambda rows: rows[1].update(paths=[0, 0]),
    "a draw that is not there": lambda rows: rows[1].update(paths=[5]),
    "a token outside": lambda rows: rows[1].update(token_id=VOCAB_SIZE),
    "a parent that comes later": lambda rows: rows[1].update(parent=3),
    "another law": lambda rows: rows[1].update(law="iid_paths"),
    "a multiplicity": lambda rows: rows[1].update(multiplicity=2),
    "a node less": lambda rows: rows.__delitem__(1),
    "a tree too many": lambda rows: rows[-1].update(tree=1),
    "a tree of another number": lambda rows: [row.update(tree=1) for row in rows] and None,
    "a leaf that is none": lambda rows: rows[1].update(internal=not rows[1]["internal"]),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_nodes_that_the_law_cannot_have_drawn_are_refused(
    settings_for: SettingsFor, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(settings_for(tree="2x2", path_contexts=1, limit=1))
    cache = tmp_path / "cache"
    # Checksums would notice any change: what is checked here comes after them.
    monkeypatch.setattr("mdbound.logits_cache.store.cache._check_file", lambda *_: None)
    copy = tmp_path / "copy"
    shutil.copytree(cache, copy)
    change_nodes(copy, TAMPERED[how])
    with pytest.raises(CacheError):
        all_trees(copy)
    assert all_trees(cache)


@pytest.mark.parametrize("tree", ["likeliest-5-3-2", "delayed-paths-2-1-2"])
def test_laws_that_are_no_topology(
    settings_for: SettingsFor, pair: tuple[str, str], tmp_path: Path, tree: str
) -> None:
    capture(settings_for(tree=tree, path_contexts=2, limit=2, max_new_tokens=6))
    cache = tmp_path / "cache"
    record = LogitsCache.open(cache).manifest.generation.paths
    assert record is not None
    assert record.law() == trees.named_law(tree)
    found = all_trees(cache)
    assert len(found) == 4
    worst = 0.0
    for one in found:
        assert record.law().can_draw(one.tree)
        assert set(one.draft_logits) == set(one.target_logits) == set(one.tree.internal())
        context = context_of(cache, one)
        for logits, folder in ((one.target_logits, pair[0]), (one.draft_logits, pair[1])):
            for node, row in logits.items():
                expected = alone(folder, [*context, *node], VOCAB_SIZE)[-1]
                worst = max(worst, float(np.abs(row - expected).max()))
    assert worst < 1e-4


def test_several_trees_of_a_context_are_independent_of_each_other(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings = {"tree": "2x2", "path_contexts": 2, "temperature": 2.0}
    capture(settings_for(**settings, trees_per_context=3, out=tmp_path / "three"))
    capture(settings_for(**settings, out=tmp_path / "one"))
    three, one = all_trees(tmp_path / "three"), all_trees(tmp_path / "one")
    assert [each.number for each in three] == [0, 1, 2] * len(one)
    # The first is the one that would be drawn alone; the others are others, of the same context.
    assert [each.tree for each in three[::3]] == [each.tree for each in one]
    assert sum(a.tree != b.tree for a, b in zip(three[1::3], one, strict=True)) > len(one) / 2
    for first, second in zip(three[::3], three[1::3], strict=True):
        assert (first.doc_id, first.position) == (second.doc_id, second.position)
        np.testing.assert_array_equal(first.target_logits[()], second.target_logits[()])


def test_every_nth_position(settings_for: SettingsFor, tmp_path: Path) -> None:
    capture(settings_for(tree="1x2", path_every=3, max_new_tokens=8))
    opened = LogitsCache.open(tmp_path / "cache")
    places = [(each.doc_id, each.position) for each in all_trees(tmp_path / "cache")]
    expected = []
    for shard in opened.shards:
        positions = opened.read_positions(shard)
        for _, own in positions.group_by("doc_id", maintain_order=True):
            expected += own.select("doc_id", "position").rows()[::3]
    assert places == expected


def test_tables_without_numbers_of_trees_are_read(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As captures had them that drew one tree at a context, and no other."""
    monkeypatch.setattr("mdbound.logits_cache.store.cache._check_file", lambda *_: None)
    for trees_per_context in (1, 2):
        out = tmp_path / str(trees_per_context)
        capture(settings_for(tree="1x2", trees_per_context=trees_per_context, out=out))
        before = all_trees(out)
        for file in (out / "nodes-small").glob("*.parquet"):
            pq.write_table(pq.read_table(file, partitioning=None).drop_columns(["tree"]), file)
        if trees_per_context == 1:
            assert [each.tree for each in all_trees(out)] == [each.tree for each in before]
        else:
            with pytest.raises(CacheError, match="no tree of its paths"):
                all_trees(out)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tree": "2x2", "paths": 2, "length": 2}, "`tree` says how many"),
        ({"tree": "nonsense"}, "no name and no file"),
        ({"tree_sampling": "greedy"}, "add `tree`"),
        ({"tree": "2x2", "tree_sampling": "gready"}, "did you mean 'greedy'"),
        ({"tree": "1x9", "max_context": 9}, "leaves no context"),
        ({"path_contexts": 2}, "add `paths`"),
        ({"path_every": 2}, "add `paths`"),
        ({"tree": "2x2", "path_every": 2, "path_contexts": 2}, "give one"),
        ({"paths": 2, "length": 2, "trees_per_context": 2}, "add `tree`"),
        ({"tree": "eagle-2", "tree_sampling": "greedy"}, "says how it is drawn"),
        ({"tree": "likeliest-0-1-1"}, "`total` is 0"),
    ],
)
def test_settings_that_no_capture_has(
    settings_for: SettingsFor, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidSettingError, match=says):
        capture(settings_for(**changes))


def test_iter_paths_of_trees_says_what_to_take(settings_for: SettingsFor, tmp_path: Path) -> None:
    capture(settings_for(tree="1x2", path_contexts=1, limit=1))
    opened = LogitsCache.open(tmp_path / "cache")
    with pytest.raises(InvalidSettingError, match="iter_trees"):
        next(opened.iter_paths("small"))
    record = opened.manifest.generation.paths
    assert record is not None
    assert record.law() == trees.Branching("1x2", "without_replacement")
