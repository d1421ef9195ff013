"""The path bound of captures: what is read, both halves, files, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.path_bound import run_path_bound as run_module
from mdbound.analysis.path_bound.bound_part import BoundPart
from mdbound.analysis.path_bound.contexts import BoundContexts
from mdbound.analysis.path_bound.crossed import CrossedBounds, crossed_bounds
from mdbound.analysis.path_bound.parameters_file import read_parameters, write_parameters
from mdbound.analysis.path_bound.read_contexts import read_contexts
from mdbound.analysis.path_bound.run_path_bound import run_path_bound
from mdbound.analysis.path_bound.texts_of_contexts import Answer, answers_of
from mdbound.analysis.statistics.halves import halves
from mdbound.analysis.trees.captured_law import captured_laws
from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_grid import PathsShape, TreeGrid
from mdbound.analysis.trees.tree_results import open_trees
from mdbound.analysis.trees.tree_tables import write_tree_report
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture
from mdbound.trees import Paths
from mdbound.trees.optima.path_bound.hats import BASES, FEW, MANY
from tests.oracles.trees.path_bound import hat

pytest.importorskip("torch")

LENGTH = 3
THINGS = ("sky", "sea", "ice", "ink", "jay", "jam", "dye", "gem")


def captured(folder: Path, **options: object) -> LogitsCache:
    prompts = folder / "prompts.jsonl"
    texts = [f"Say why {thing} is blue." for thing in THINGS]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(str(prompts),),
        out=folder / "cache",
        mode="generate",
        max_new_tokens=16,
        shard_rows=40,
        device="cpu",
        **{"paths": 2, "length": LENGTH, "path_every": 1, **options},  # type: ignore[arg-type]
    )
    capture(settings)
    return LogitsCache.open(folder / "cache")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    return captured(tmp_path_factory.mktemp("bound"))


@pytest.fixture(scope="module")
def contexts(cache: LogitsCache) -> BoundContexts:
    (law,) = captured_laws(cache, ())
    return read_contexts(cache, law, [Paths(2, 3), Paths(2, 2)])


def softmax(logits: np.ndarray) -> np.ndarray:
    row = np.exp(logits.astype(np.float64) - float(logits.max()))
    return np.asarray(row / row.sum())


def test_features_are_those_of_the_rows(cache: LogitsCache, contexts: BoundContexts) -> None:
    """Paths, and the text that follows, by hand from the logits."""
    rows = {}
    for batch in cache.iter_batches():
        for place, row in enumerate(batch.positions.iter_rows(named=True)):
            p, q = (softmax(batch.logits[name][place]) for name in ("target", "tiny-draft"))
            rows[row["doc_id"], row["position"]] = p, q, row["next_token_id"]
    ends = answers_of(cache).end_tokens
    features, text_seen = contexts.features, 0
    for number, paths in enumerate(cache.iter_paths("tiny-draft")):
        key = (paths.doc_id, paths.position)
        assert (contexts.places.doc_id[number], contexts.places.position[number]) == key
        p, q, _ = rows[key]
        assert contexts.places.overlap[number] == pytest.approx(np.minimum(p, q).sum())
        for k in range(2):
            ended = False
            for d in range(LENGTH):
                at = (number * 2 + k) * LENGTH + d
                p, q = softmax(paths.target_logits[k, d]), softmax(paths.draft_logits[k, d])
                token = int(paths.tokens[k, d])
                ratio = 0.0 if ended else float(np.log(p[token] / q[token]))
                assert features.drafted.ratio[at] == pytest.approx(ratio, abs=1e-9)
                if not ended:
                    hats = [
                        sum(p[t] * hat(MANY[0], i)(np.log(p[t] / q[t])) for t in range(len(p)))
                        for i in (0, 4, 8)
                    ]
                    found = features.drafted.target_means[0][at][[0, 4, 8]]
                    assert found == pytest.approx(hats, abs=1e-9)
                ended = ended or token in ends
            if number % 16:
                break
        for d in range(LENGTH):
            if (paths.doc_id, paths.position + d) not in rows:
                break
            p, q, token = rows[paths.doc_id, paths.position + d]
            at = number * LENGTH + d
            assert features.text.ratio[at] == pytest.approx(np.log(p[token] / q[token]), abs=1e-9)
            text_seen += 1
    assert text_seen > 100
    assert len(BASES[1].token.knots) == len(FEW[0])


def test_texts_count_by_place_alone() -> None:
    """An answer that ended early counts where the limit would have left room, and goes on."""
    ended = Answer(first=10, tokens=(1, 2, 3, 0), ended=True, limit=16)
    cut = Answer(first=10, tokens=(1, 2, 3, 4), ended=False, limit=4)
    assert [ended.left(position) for position in (10, 13)] == [16, 13]
    assert [cut.left(position) for position in (10, 13)] == [4, 1]


def test_contexts_drawn_at_random_have_no_text(tmp_path: Path) -> None:
    cache = captured(tmp_path, path_every=None, path_contexts=2)
    assert answers_of(cache).by_document == {}
    (law,) = captured_laws(cache, ())
    contexts = read_contexts(cache, law, [Paths(2, 3)])
    assert not contexts.features.text_left.any()
    found = crossed_bounds(contexts, Paths(2, 3))
    assert set(found.values) == {"path_bound_psi", "depth_bound", "path_bound"}


def test_each_half_is_bounded_with_the_other(contexts: BoundContexts) -> None:
    """Other numbers in one half change the bound of the other alone, beyond their own."""
    law = Paths(2, 2)
    found = crossed_bounds(contexts, law)
    assert set(found.values) == {
        *("path_bound", "path_bound_psi", "path_bound_gate"),
        *("depth_bound", "depth_bound_largest_sum", "depth_bound_text"),
    }
    first, second = halves(contexts.places.doc_id.tolist())
    assert found.halves[0].documents == tuple(sorted(first))
    assert found.halves[1].documents == tuple(sorted(second))
    for half, other in (found.halves, found.halves[::-1]):
        chosen = found.values[half.chosen]
        there = np.isin(contexts.places.doc_id, other.documents)
        assert np.array_equal(found.values["path_bound"][there], chosen[there])
    terms = contexts.depth_terms[law].copy()
    own = np.isin(contexts.places.doc_id, first)
    terms[own] = terms[own][:, :, ::-1]  # thresholds that are bad there are chosen
    moved = crossed_bounds(replace(contexts, depth_terms={law: terms}), law)
    assert moved.values["depth_bound"][~own].sum() > found.values["depth_bound"][~own].sum()


def test_bounds_stand_beside_verifiers(cache: LogitsCache, tmp_path: Path) -> None:
    out, verified = tmp_path / "bound.parquet", tmp_path / "trees.parquet"
    steps: list[int] = []
    summary = run_path_bound(cache, [Paths(2, 3)], out, parameters=tmp_path / "p.json")
    run_on_trees(
        cache,
        TreeGrid(shapes=(PathsShape(2, 3),)),
        verified,
        on_progress=lambda s: steps.append(s.done),
    )
    assert summary.path == out
    frame = open_trees(out).frame.collect()
    means = dict(frame.group_by("verifier").agg(pl.col("accepted").mean()).rows())
    assert "depth_bound" not in means  # that is in the other file
    text = open_trees(verified)
    report = write_tree_report(text, tmp_path / "report", beside=[open_trees(out)])
    shown = (tmp_path / "report" / "expected_length.md").read_text()
    for words in ("(bound by depth)", "(path bound)", "gate form", "what was fitted on the other"):
        assert words in shown
    assert len({row[0][-1] for row in report.table.rows}) == len(report.table.rows)
    best = text.frame.filter(~pl.col("sampled")).group_by("verifier").agg(pl.col("accepted").mean())
    largest = best.collect()["accepted"].max()
    assert means["path_bound"] > largest - 0.1  # type: ignore[operator]


class Stopped(Exception):
    """What ends a run in a test."""


def test_an_interrupted_run_goes_on_with_the_missing_law(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laws = [Paths(2, 2), Paths(2, 3)]
    whole = tmp_path / "whole.parquet"
    run_path_bound(cache, laws, whole, parameters=tmp_path / "whole.json")
    done: list[Paths] = []

    def stopping(contexts: BoundContexts, law: Paths, *rest: object) -> CrossedBounds:
        if done and law == laws[1]:
            raise Stopped
        done.append(law)
        return crossed_bounds(contexts, law, *rest)  # type: ignore[arg-type]

    out = tmp_path / "bound.parquet"
    monkeypatch.setattr(run_module, "crossed_bounds", stopping)
    with pytest.raises(Stopped):
        run_path_bound(cache, laws, out, parameters=tmp_path / "bound.json")
    assert not out.exists()
    with pytest.raises(InvalidSettingError, match="belongs to another run"):
        run_path_bound(cache, laws[:1], out)
    again: list[Paths] = []

    def counted(contexts: BoundContexts, law: Paths, *rest: object) -> CrossedBounds:
        again.append(law)
        return crossed_bounds(contexts, law, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "crossed_bounds", counted)
    summary = run_path_bound(cache, laws, out, parameters=tmp_path / "bound.json")
    assert again == laws[1:]
    assert [law for _, law, _ in summary.chosen] == laws
    assert pl.read_parquet(out).equals(pl.read_parquet(whole))
    assert (tmp_path / "bound.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_a_damaged_part_is_made_again(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, law = tmp_path / "bound.parquet", Paths(2, 2)

    def stopped(*_: object, **__: object) -> None:
        raise Stopped

    monkeypatch.setattr(run_module, "write_trees", stopped)
    with pytest.raises(Stopped):
        run_path_bound(cache, [law], out)
    (part,) = tmp_path.glob("*.parts/*.parquet")
    assert BoundPart.read(part) is not None
    part.with_suffix(".json").write_text('{"chosen": ["psi", "psi"], "coefficients": {}}')
    assert BoundPart.read(part) is None
    monkeypatch.undo()
    run_path_bound(cache, [law], out)
    assert open_trees(out).frame.collect().height > 0


def test_parameters_go_to_another_capture_only(cache: LogitsCache, tmp_path: Path) -> None:
    kept, other = tmp_path / "p.json", tmp_path / "other"
    run_path_bound(cache, [Paths(2, 2)], tmp_path / "b.parquet", parameters=kept)
    given = read_parameters(kept)
    write_parameters(given, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == kept.read_bytes()
    with pytest.raises(InvalidSettingError, match="fitted on this capture"):
        run_path_bound(cache, [Paths(2, 2)], tmp_path / "c.parquet", given=given)
    other.mkdir()
    second = captured(other, temperature=0.7)
    run_path_bound(second, [Paths(2, 2)], tmp_path / "d.parquet", given=given)
    names = set(pl.read_parquet(tmp_path / "d.parquet")["verifier"])
    assert {"path_bound_psi", "path_bound_gate", "path_bound"} <= names
    with pytest.raises(
        InvalidSettingError, match=r"not fitted for 2 paths of 3 tokens, but for 2:2"
    ):
        run_path_bound(second, [Paths(2, 3)], tmp_path / "e.parquet", given=given)


@pytest.fixture(scope="module")
def parameters(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("parameters")
    run_path_bound(cache, [Paths(2, 2)], folder / "b.parquet", parameters=folder / "p.json")
    return (folder / "p.json").read_bytes()


def changed(raw: dict, **changes: object) -> dict:
    return {**raw, "laws": [{**raw["laws"][0], **changes}]}


def negative(form: dict) -> dict:
    """Coefficients of the psi form below 0, for which it is no bound."""
    return {**form, "psi": (-np.ones((2, BASES[form["basis"]].size))).tolist()}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: [raw],
        lambda raw: {**raw, "mdbound_path_bound": 2},
        lambda raw: {**raw, "capture": 7},
        lambda raw: changed(raw, length=10**9),
        lambda raw: changed(raw, length=True),
        lambda raw: changed(raw, num_paths=0),
        lambda raw: changed(raw, forms={}),
        lambda raw: changed(raw, forms={"psi": {}}),
        lambda raw: changed(raw, forms={"other": raw["laws"][0]["forms"]["psi"]}),
        lambda raw: changed(raw, forms={"gate": raw["laws"][0]["forms"]["psi"]}),
        lambda raw: changed(raw, forms={"psi": {**raw["laws"][0]["forms"]["psi"], "basis": 9}}),
        lambda raw: changed(
            raw, forms={"psi": {**raw["laws"][0]["forms"]["psi"], "psi": [[float("nan")]]}}
        ),
        lambda raw: changed(raw, forms={"psi": negative(raw["laws"][0]["forms"]["psi"])}),
    ],
)  # fmt: skip
def test_files_that_hold_no_parameters(parameters: bytes, tmp_path: Path, spoil: object) -> None:
    kept = tmp_path / "p.json"
    kept.write_bytes(parameters)
    raw = json.loads(kept.read_text())
    read_parameters(kept)
    kept.write_text(json.dumps(spoil(raw)))  # type: ignore[operator]
    with pytest.raises(CacheError, match="no file of parameters"):
        read_parameters(kept)
    with pytest.raises(CacheError, match="cannot be read"):
        read_parameters(tmp_path / "missing.json")


def test_what_has_no_path_bound(cache: LogitsCache, tmp_path: Path) -> None:
    out = tmp_path / "b.parquet"
    with pytest.raises(InvalidSettingError, match="longer paths than"):
        run_path_bound(cache, [Paths(2, 9)], out)
    with pytest.raises(InvalidSettingError, match="is a folder"):
        run_path_bound(cache, [], tmp_path)
    (tmp_path / "t").mkdir()
    trees = captured(tmp_path / "t", paths=None, length=None, tree="2x2")
    with pytest.raises(InvalidSettingError, match=r"i\.i\.d\. paths; capture with"):
        run_path_bound(trees, [], out)
    assert not out.exists()
