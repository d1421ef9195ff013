"""A captured pair on its likeliest tokens: a tiny model whose optima are solved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import trees
from mdbound.analysis.trees.captured_law import captured_laws
from mdbound.analysis.trees.contexts import contexts_of
from mdbound.analysis.trees.restricted_pair import gaps_of_pair, restricted_pair
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture

pytest.importorskip("torch")


def captured(folder: Path, **options: object) -> LogitsCache:
    prompts = folder / "prompts.jsonl"
    texts = [f"Tell me of {thing}." for thing in ("rain", "snow", "hail")]
    prompts.write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    settings = {"tree": "2x2", "tree_sampling": "top_k", "path_contexts": 2, **options}
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=folder / "cache",
            mode="generate",
            max_new_tokens=6,
            device="cpu",
            **settings,  # type: ignore[arg-type]
        )
    )
    return LogitsCache.open(folder / "cache")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    return captured(tmp_path_factory.mktemp("top"))


def test_rows_are_those_of_the_drafted_tokens(cache: LogitsCache) -> None:
    (law,) = captured_laws(cache, ())
    for context in contexts_of(cache, law, cache.shards[0]):
        target, draft = restricted_pair(context)
        assert set(target) == set(draft) == {(), (0,), (1,)}
        for node, (first, second) in draft.items():
            assert first >= second  # the k-th likeliest of its node
            assert sum(target[node]) == pytest.approx(1.0)
        tokens = context.tree.drafted[()]
        p = context.target[()]
        assert target[()][0] == pytest.approx(p[tokens[0]] / (p[tokens[0]] + p[tokens[1]]))


def test_gaps_are_means_over_documents(cache: LogitsCache) -> None:
    frame = gaps_of_pair(cache, 2)
    assert frame["instances"].unique().to_list() == [3]
    block = frame.row(by_predicate=pl.col("value") == "block_first_path", named=True)
    (law,) = captured_laws(cache, ())
    of_document: dict[int, list[float]] = {}
    for shard in cache.shards:
        for context in contexts_of(cache, law, shard):
            pair = restricted_pair(context)
            best = trees.optimal_value(*pair, trees.Paths(2, 2)).value
            own = trees.expected_length(*pair, trees.Paths(2, 2), "block_first_path")
            of_document.setdefault(context.doc_id, []).append(best - float(own))
    assert block["gap"] == pytest.approx(
        np.mean([np.mean(each) for each in of_document.values()]), abs=1e-9
    )
    assert block["gap"] > 0.0
    assert frame.filter(pl.col("value") == "carried")["gap"][0] < 1e-9


def test_other_trees_are_no_restricted_pair(tmp_path: Path) -> None:
    drawn = captured(tmp_path, tree_sampling="without_replacement", path_contexts=1)
    with pytest.raises(InvalidSettingError, match="full trees of the likeliest"):
        gaps_of_pair(drawn, 2)
