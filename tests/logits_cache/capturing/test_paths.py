"""Drafted paths: what is stored is what the models say, and what the drafts' law draws."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import chisquare

from mdbound.bounds import Warpers
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import CapturedPaths, LogitsCache, tiny
from mdbound.logits_cache.capturing.add_drafts import add_drafts
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.drafting.draw_trees import draw_trees
from mdbound.logits_cache.capturing.drafting.path_drawing import PathDrawing, TreeContext
from mdbound.logits_cache.capturing.progress import CaptureProgress
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.models.pairing import plan_models
from mdbound.logits_cache.models.weights import load_drafts, load_target
from mdbound.logits_cache.store.paths_record import PathsRecord
from mdbound.logits_cache.store.probe_record import ProbeRecord
from tests.logits_cache.small_models import VOCAB_SIZE

SettingsFor = Callable[..., CaptureSettings]
COUNT, LENGTH = 3, 4


def drawing_of(
    count: int, length: int, warpers: Warpers | None = None, seed: int = 0
) -> PathDrawing:
    record = PathsRecord(count, length, 1, (warpers or Warpers()).as_dict())
    return PathDrawing(record, None, seed)


class Interrupted(Exception):
    pass


def stop_after(batches: int) -> Callable[[CaptureProgress], None]:
    calls = []

    def on_progress(progress: CaptureProgress) -> None:
        calls.append(progress)
        if len(calls) > batches:
            raise Interrupted

    return on_progress


def with_paths(settings_for: SettingsFor, **changes: object) -> CaptureSettings:
    return settings_for(**{"paths": COUNT, "length": LENGTH, "path_contexts": 2, **changes})


def all_paths(cache: Path, draft: str = "small", **options: Any) -> list[CapturedPaths]:
    return list(LogitsCache.open(cache).iter_paths(draft, **options))


def alone(folder: str, tokens: Sequence[int], vocab_size: int = VOCAB_SIZE) -> np.ndarray:
    """Logits of a model that runs by itself on one sequence, without our code."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder).float().eval()
    with torch.no_grad():
        logits = network(torch.tensor([list(tokens)])).logits[0, :, :vocab_size]
    return np.asarray(logits.float().numpy())


def context_tokens(cache: Path, paths: CapturedPaths) -> list[int]:
    opened = LogitsCache.open(cache)
    for row in opened.read_documents(opened.shards[paths.shard]):
        last = paths.position - row["offset"]
        if row["doc_id"] == paths.doc_id and row["first_row"] <= last < len(row["token_ids"]) - 1:
            return list(row["token_ids"][: last + 1])
    raise AssertionError("no such context")


def largest_difference(cache: Path, pair: tuple[str, str], found: Sequence[CapturedPaths]) -> float:
    worst = 0.0
    for paths in found:
        context = context_tokens(cache, paths)
        for path, target, draft in zip(
            paths.tokens, paths.target_logits, paths.draft_logits, strict=True
        ):
            tokens = [*context, *path.tolist()]
            for stored, folder in ((target, pair[0]), (draft, pair[1])):
                start = len(context) - 1
                expected = alone(folder, tokens)[start : start + len(stored)]
                worst = max(worst, float(np.abs(stored - expected).max()))
    return worst


def test_rows_are_those_of_the_models_alone(
    settings_for: SettingsFor, pair: tuple[str, str], tmp_path: Path
) -> None:
    capture(with_paths(settings_for, limit=2))
    found = all_paths(tmp_path / "cache", batch_rows=3)
    assert len(found) == 4
    assert found[0].tokens.shape == (COUNT, LENGTH)
    assert found[0].target_logits.shape == (COUNT, LENGTH + 1, VOCAB_SIZE)
    assert found[0].draft_logits.shape == (COUNT, LENGTH, VOCAB_SIZE)
    assert largest_difference(tmp_path / "cache", pair, found) < 1e-4
    # Paths of another context do not pass: the comparison sees what it should.
    shifted = replace(found[0], tokens=found[1].tokens)
    assert largest_difference(tmp_path / "cache", pair, [shifted]) > 0.1


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_paths_do_not_depend_on_the_batch(
    settings_for: SettingsFor, tmp_path: Path, batch_size: int
) -> None:
    capture(with_paths(settings_for, out=tmp_path / "a"))
    capture(with_paths(settings_for, out=tmp_path / "b", batch_size=batch_size))
    one, other = all_paths(tmp_path / "a"), all_paths(tmp_path / "b")
    assert [(p.doc_id, p.position) for p in one] == [(p.doc_id, p.position) for p in other]
    for left, right in zip(one, other, strict=True):
        assert left.tokens.tolist() == right.tokens.tolist()
        np.testing.assert_allclose(left.target_logits, right.target_logits, atol=1e-4)
        np.testing.assert_allclose(left.draft_logits, right.draft_logits, atol=1e-4)


def test_nodes_are_distinct_prefixes_and_roots_are_not_stored_twice(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    capture(with_paths(settings_for, paths=8, temperature=0.3))
    cache = tmp_path / "cache"
    table = pq.read_table(cache / "nodes-small" / "part-00000.parquet", partitioning=None)
    rows = table.to_pylist()
    shared = 0
    found = all_paths(cache)
    for paths in found:
        own = [row for row in rows if row["context"] == paths.row]
        prefixes = [tuple(path[:depth]) for path in paths.tokens.tolist() for depth in range(5)]
        assert len(own) == len(set(prefixes))
        assert [row["node"] for row in own] == list(range(len(own)))
        for row in own:
            walk, prefix = row, []
            while walk["parent"] >= 0:
                prefix.insert(0, walk["token_id"])
                walk = own[walk["parent"]]
            assert row["multiplicity"] == prefixes.count(tuple(prefix)) == len(row["paths"])
            assert row["depth"] == len(prefix)
            assert row["internal"] == (len(prefix) < LENGTH)
            shared += row["multiplicity"] > 1 and row["depth"] > 0
    assert shared > 0
    sizes = {
        name: pq.ParquetFile(cache / name / "part-00000.parquet").metadata.num_rows
        for name in ("path-target-small", "path-draft-small")
    }
    below = [row for row in rows if row["depth"] > 0]
    assert sizes["path-target-small"] == len(below)
    assert sizes["path-draft-small"] == sum(row["internal"] for row in below)
    opened = LogitsCache.open(cache)
    (batch,) = opened.iter_batches(batch_rows=1000, shards=[0])
    for paths in found:
        assert np.array_equal(paths.draft_logits[0, 0], batch.logits["small"][paths.row])
        assert np.array_equal(paths.target_logits[-1, 0], batch.logits["target"][paths.row])


def warped_by_hand(logits: np.ndarray, temperature: float, top_k: int) -> np.ndarray:
    scaled = logits.astype(np.float64) / temperature
    scaled[scaled < np.sort(scaled)[-top_k]] = -np.inf
    weights = np.exp(scaled - scaled.max())
    return np.asarray(weights / weights.sum())


def drawn_outside(found: Sequence[CapturedPaths], temperature: float, top_k: int) -> int:
    """Tokens that the stored row, warped, has no probability for."""
    return sum(
        warped_by_hand(row, temperature, top_k)[token] == 0
        for paths in found
        for tokens, rows in zip(paths.tokens, paths.draft_logits, strict=True)
        for token, row in zip(tokens, rows, strict=True)
    )


def test_no_token_without_probability_is_drawn(settings_for: SettingsFor, tmp_path: Path) -> None:
    changes = {"temperature": 0.9, "top_k": 3, "paths": 16, "max_new_tokens": 12}
    capture(with_paths(settings_for, **changes))
    found = all_paths(tmp_path / "cache")
    assert drawn_outside(found, 0.9, 3) == 0
    capture(with_paths(settings_for, **{**changes, "top_k": 30}, out=tmp_path / "wider"))
    assert drawn_outside(all_paths(tmp_path / "wider"), 0.9, 3) > 0


def test_temperature_zero_is_one_path_drawn_by_all(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    capture(with_paths(settings_for, temperature=0.0))
    for paths in all_paths(tmp_path / "cache"):
        assert (paths.tokens == paths.draft_logits.argmax(axis=2)).all()
        assert (paths.tokens == paths.tokens[0]).all()


@pytest.fixture(scope="module")
def models(pair: tuple[str, str]) -> tuple[Any, Any]:
    planned = plan_models(
        pair[0], [pair[1]], [], device="cpu", dtype="auto", trust_remote_code=False
    )
    target = load_target(planned, VOCAB_SIZE, decodes=True)
    (draft,) = load_drafts(planned, VOCAB_SIZE, target)
    return target, draft


def test_drawn_tokens_follow_the_law_at_both_depths(
    models: tuple[Any, Any], pair: tuple[str, str]
) -> None:
    """Chi-square of pairs of tokens against the law by hand; another temperature is noticed."""
    drawing = drawing_of(4000, 2, Warpers(0.8, top_k=3), seed=5)
    context = (72, 101, 108)
    roots = alone(pair[1], context)[-1:]
    (drawn,) = draw_trees(*models, [TreeContext(0, 0, 2, context)], roots, drawing, 8)
    tokens = drawn.nodes.tokens

    assert p_value(tokens, 0.8, roots[0], context, pair[1]) > 0.001
    assert p_value(tokens, 1.6, roots[0], context, pair[1]) < 1e-6


def test_each_path_is_drawn_at_its_own_temperature(
    models: tuple[Any, Any], pair: tuple[str, str]
) -> None:
    warpers = Warpers(0.8, top_k=3).as_dict()
    temperatures = (0.8,) * 2000 + (1.6,) * 2000
    record = PathsRecord(4000, 2, 1, warpers, temperatures=temperatures)
    context = (72, 101, 108)
    roots = alone(pair[1], context)[-1:]
    (drawn,) = draw_trees(
        *models, [TreeContext(0, 0, 2, context)], roots, PathDrawing(record, None, 5), 8
    )
    tokens = drawn.nodes.tokens
    assert tokens is not None
    for own, right, wrong in ((tokens[:2000], 0.8, 1.6), (tokens[2000:], 1.6, 0.8)):
        assert p_value(own, right, roots[0], context, pair[1]) > 0.001
        assert p_value(own, wrong, roots[0], context, pair[1]) < 1e-6


def p_value(
    tokens: np.ndarray, temperature: float, root: np.ndarray, context: Sequence[int], folder: str
) -> float:
    observed, expected = [], []
    first = warped_by_hand(root, temperature, 3)
    for one in np.flatnonzero(first):
        second = warped_by_hand(alone(folder, [*context, int(one)])[-1], temperature, 3)
        for two in np.flatnonzero(second):
            observed.append(int(((tokens[:, 0] == one) & (tokens[:, 1] == two)).sum()))
            expected.append(len(tokens) * first[one] * second[two])
    assert len(observed) == 9
    assert sum(observed) == len(tokens)
    return float(chisquare(observed, expected).pvalue)


def test_paths_of_a_context_are_independent_and_the_first_ones_of_more(
    models: tuple[Any, Any], pair: tuple[str, str]
) -> None:
    context = TreeContext(0, 0, 2, (72, 101, 108))
    roots = alone(pair[1], context.token_ids)[-1:]
    few, more = (
        next(draw_trees(*models, [context], roots, drawing, 8)).nodes.tokens.tolist()
        for drawing in (
            drawing_of(3, 3),
            drawing_of(9, 3),
        )
    )
    assert more[:3] == few
    assert len({tuple(path) for path in more}) > 1


@pytest.mark.parametrize("findings", [{"batch_length": 0}, {"cache_length": 0}])
def test_models_are_run_as_their_probe_found(
    models: tuple[Any, Any], pair: tuple[str, str], findings: dict[str, int]
) -> None:
    found = ProbeRecord(19, 1e-3, **findings)  # type: ignore[arg-type]
    limited = [replace(model, findings=found) for model in models]
    contexts = [TreeContext(0, 0, 2, (72, 101, 108)), TreeContext(1, 0, 3, (72, 101, 108, 5))]
    roots = np.stack([alone(pair[1], each.token_ids)[-1] for each in contexts])
    drawing = drawing_of(2, 3)
    free = list(draw_trees(*models, contexts, roots, drawing, 8))
    bound = list(draw_trees(*limited, contexts, roots, drawing, 8))
    for one, other in zip(free, bound, strict=True):
        assert one.nodes.tokens.tolist() == other.nodes.tokens.tolist()
        np.testing.assert_allclose(one.target_logits, other.target_logits, atol=1e-4)
        np.testing.assert_allclose(one.draft_logits, other.draft_logits, atol=1e-4)


def test_contexts_leave_room_for_a_path(settings_for: SettingsFor, tmp_path: Path) -> None:
    limit = 80
    settings = with_paths(settings_for, max_context=limit, max_new_tokens=6, path_contexts=100)
    capture(settings)
    cache = tmp_path / "cache"
    opened = LogitsCache.open(cache)
    found = all_paths(cache)
    lengths = [len(context_tokens(cache, paths)) for paths in found]
    assert max(lengths) + LENGTH <= limit
    assert len(found) <= opened.num_positions
    capture(replace(settings, out=tmp_path / "none", length=79))
    assert all_paths(tmp_path / "none") == []
    LogitsCache.open(tmp_path / "none").verify()


def test_paths_of_one_token_need_no_row_of_the_draft(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    capture(with_paths(settings_for, length=1))
    for paths in all_paths(tmp_path / "cache"):
        assert paths.draft_logits.shape == (COUNT, 1, VOCAB_SIZE)
        assert paths.target_logits.shape == (COUNT, 2, VOCAB_SIZE)


def test_interrupted_capture_resumes_to_the_same_bytes(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    whole = with_paths(settings_for, out=tmp_path / "whole", shard_rows=8)
    capture(whole)
    parts = replace(whole, out=tmp_path / "parts")
    for batches in (1, 2):
        with pytest.raises(Interrupted):
            capture(parts, stop_after(batches))
    capture(parts)
    files = sorted(path.relative_to(whole.out) for path in whole.out.rglob("*.parquet"))
    assert len([file for file in files if file.parts[0] == "nodes-small"]) > 1
    for file in files:
        assert (parts.out / file).read_bytes() == (whole.out / file).read_bytes()
    left, right = LogitsCache.open(whole.out).manifest, LogitsCache.open(parts.out).manifest
    assert left == right
    other = replace(whole, seed=1, out=tmp_path / "other")
    capture(other)
    file = "nodes-small/part-00000.parquet"
    assert (other.out / file).read_bytes() != (whole.out / file).read_bytes()


def test_other_paths_are_another_capture(settings_for: SettingsFor) -> None:
    settings = with_paths(settings_for)
    capture(settings)
    for changes in ({"length": 5}, {"paths": 2}, {"path_contexts": 3}):
        with pytest.raises(InvalidSettingError, match=r"generation\.paths\."):
            capture(replace(settings, **changes))
    with pytest.raises(InvalidSettingError, match=r"generation\.paths\."):
        capture(replace(settings, paths=None, length=None, path_contexts=None))


def test_positions_are_the_same_with_and_without_paths(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    capture(settings_for(out=tmp_path / "without"))
    capture(with_paths(settings_for, out=tmp_path / "with"))
    for file in (tmp_path / "without").rglob("*.parquet"):
        same = tmp_path / "with" / file.relative_to(tmp_path / "without")
        assert same.read_bytes() == file.read_bytes()
    manifest = LogitsCache.open(tmp_path / "without").manifest
    assert not any("paths" in name for name in manifest.settings())


def test_a_draft_that_is_added_has_no_paths(
    settings_for: SettingsFor, pair: tuple[str, str], tmp_path: Path
) -> None:
    settings = with_paths(settings_for)
    capture(settings)
    add_drafts(settings.out, [], [(1,)], target=pair[0], device="cpu")
    opened = LogitsCache.open(settings.out)
    assert opened.path_draft_names == ("small",)
    added = opened.draft_names[1]
    with pytest.raises(InvalidSettingError, match="has no paths that"):
        next(opened.iter_paths(added))
    with pytest.raises(InvalidSettingError, match="is unknown"):
        next(opened.iter_paths("other"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": 0}, "`paths` 0: give at least 1"),
        ({"length": 0}, "`length` 0: give at least 1"),
        ({"path_contexts": 0}, "`path_contexts` 0: give at least 1"),
        ({"length": None}, "Give `length`"),
        ({"paths": None}, "`length` is about paths"),
        ({"paths": None, "length": None}, "`path_contexts` is about paths"),
        ({"max_context": 4}, "`length` 4 leaves no context of `max_context` 4"),
        ({"length": 256}, "`length` 256 leaves no context: the models were made for at most 256"),
        ({"mode": "score", "max_new_tokens": None}, "`paths` is about answers"),
    ],
)
def test_refusals(settings_for: SettingsFor, changes: dict[str, object], message: str) -> None:
    settings = with_paths(settings_for, **changes)
    with pytest.raises(InvalidSettingError, match=message):
        capture(settings)
    assert not settings.out.exists()


def rewrite(cache: Path, folder: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a file of the first shard, and give the manifest its checksum."""
    path = cache / folder / "part-00000.parquet"
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)
    raw = json.loads((cache / "manifest.json").read_text(encoding="utf-8"))
    content = path.read_bytes()
    record = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    raw["shards"][0]["files"][folder] = record
    (cache / "manifest.json").write_text(json.dumps(raw), encoding="utf-8")


def set_value(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[row][name] = value
        return pa.Table.from_pylist(rows, schema=table.schema)

    return change


def drop(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def cast(name: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, table[name].cast(kind))

    return change


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("nodes-small", drop("paths")),
        ("nodes-small", cast("token_id", pa.int64())),
        ("nodes-small", set_value("token_id", 1, None)),
        ("nodes-small", set_value("token_id", 1, VOCAB_SIZE)),
        ("nodes-small", set_value("token_id", 1, -1)),
        ("nodes-small", set_value("context", 0, -1)),
        ("nodes-small", set_value("context", 0, 10**9)),
        ("nodes-small", set_value("doc_id", 1, 99)),
        ("nodes-small", set_value("parent", 2, 2)),
        ("nodes-small", set_value("depth", 1, 10**6)),
        ("nodes-small", set_value("multiplicity", 1, 0)),
        ("nodes-small", set_value("paths", 1, [])),
        ("nodes-small", set_value("paths", 1, [10**6])),
        ("nodes-small", set_value("paths", 1, [None])),
        ("nodes-small", set_value("internal", 1, False)),
        ("nodes-small", set_value("law", 1, "greedy")),
        ("nodes-small", lambda table: table[1:]),
        ("nodes-small", lambda table: pa.concat_tables([table, table])),
        ("path-target-small", lambda table: table[1:]),
        ("path-draft-small", lambda table: table[:-1]),
        ("path-target-small", drop("logits")),
        ("path-target-small", cast("logits", pa.list_(pa.float32()))),
        ("path-draft-small", cast("logits", pa.list_(pa.float64(), VOCAB_SIZE))),
        ("path-target-small", set_value("logits", 0, [0.0] * (VOCAB_SIZE - 1) + [None])),
    ],
)
def test_hostile_files_are_refused(
    path_cache: Path, tmp_path: Path, folder: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    cache = tmp_path / "hostile"
    shutil.copytree(path_cache, cache)
    assert all_paths(cache)
    rewrite(cache, folder, change)
    with pytest.raises(CacheError, match=folder):
        all_paths(cache)


@pytest.mark.parametrize("folder", ["nodes-small", "path-target-small", "path-draft-small"])
def test_files_written_anew_without_a_change_are_read(
    path_cache: Path, tmp_path: Path, folder: str
) -> None:
    """So that what refuses the others is what was changed in them."""
    cache = tmp_path / "same"
    shutil.copytree(path_cache, cache)
    rewrite(cache, folder, lambda table: pa.Table.from_pylist(table.to_pylist(), table.schema))
    one, other = all_paths(path_cache), all_paths(cache)
    assert [each.tokens.tolist() for each in one] == [each.tokens.tolist() for each in other]


@pytest.mark.parametrize(
    "paths",
    [
        {"count": 0},
        {"count": 10**15},
        {"length": -1},
        {"length": 2.5},
        {"length": True},
        {"more": 1},
        {"count": COUNT + 1},
    ],
)
def test_hostile_manifests_are_refused(
    path_cache: Path, tmp_path: Path, paths: dict[str, object]
) -> None:
    cache = tmp_path / "hostile"
    shutil.copytree(path_cache, cache)
    file = cache / "manifest.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["generation"]["paths"].update(paths)
    file.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(CacheError):
        all_paths(cache)


def test_paths_of_the_tiny_pair(tmp_path: Path) -> None:
    """The bundled pair, whose models read paths as these tests' models do."""
    text = tmp_path / "prompts.jsonl"
    text.write_text(json.dumps({"prompt": "The function returns"}) + "\n", encoding="utf-8")
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(str(text),),
        out=tmp_path / "cache",
        mode="generate",
        max_new_tokens=8,
        paths=COUNT,
        length=LENGTH,
        path_contexts=3,
        device="cpu",
    )
    capture(settings)
    folder = Path(tiny.__file__).parent
    opened = LogitsCache.open(settings.out)
    (name,) = opened.path_draft_names
    found = all_paths(settings.out, name)
    assert len(found) == 3
    for paths in found:
        context = context_tokens(settings.out, paths)
        tokens = [*context, *paths.tokens[0].tolist()]
        for stored, model in ((paths.target_logits, "target"), (paths.draft_logits, "draft")):
            start = len(context) - 1
            logits = alone(str(folder / model), tokens, opened.vocab_size)
            expected = logits[start : start + stored.shape[1]]
            np.testing.assert_allclose(stored[0], expected, atol=1e-4)


@pytest.fixture(scope="module")
def path_cache(
    pair: tuple[str, str], prompt_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    settings = CaptureSettings(
        target=pair[0],
        drafts=(pair[1],),
        text=(str(prompt_file),),
        out=tmp_path_factory.mktemp("paths") / "cache",
        mode="generate",
        max_new_tokens=4,
        paths=COUNT,
        length=LENGTH,
        path_contexts=2,
        device="cpu",
    )
    capture(settings)
    return settings.out
