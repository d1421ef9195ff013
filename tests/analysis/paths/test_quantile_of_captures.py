"""Quantile-score selection from the text of a capture, against its rows read by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.paths.tree_rules import QuantileRule
from mdbound.logits_cache import CaptureSettings, LogitsCache, capture
from mdbound.trees.verifiers.quantile.verifier import Quantile

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    folder = tmp_path_factory.mktemp("answers")
    prompts = folder / "prompts.jsonl"
    prompts.write_text(
        "\n".join(json.dumps({"prompt": f"Say why {x} is blue."}) for x in ("sky", "sea", "ice"))
    )
    capture(
        CaptureSettings(
            target="tiny:target",
            drafts=("tiny:draft",),
            text=(str(prompts),),
            out=folder / "cache",
            mode="generate",
            max_new_tokens=12,
            device="cpu",
        )
    )
    return LogitsCache.open(folder / "cache")


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(("length", "count"), [(3, 2), (4, 3)])
def test_tails_are_those_of_the_verifier_along_the_text(
    cache: LogitsCache, tmp_path: Path, length: int, count: int
) -> None:
    grid = PathGrid((length,), ("block", "quantile", "gbv"), (2, 3))
    run_on_capture(cache, grid, tmp_path / "paths.parquet", batch_rows=5)
    frame = pl.read_parquet(tmp_path / "paths.parquet")
    rows = frame.filter((pl.col("scheme") == "quantile") & (pl.col("num_drafts") == count))
    assert rows.height == 3
    rule = Quantile(step=0.05)
    texts: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    for batch in cache.iter_batches():
        for row, place in enumerate(batch.positions.iter_rows(named=True)):
            p, q = (softmax(batch.logits[name][row]) for name in ("target", cache.draft_names[0]))
            texts.setdefault(place["doc_id"], []).append((place["next_token_id"], p, q))
    for doc, positions in texts.items():
        tails = []
        for start in range(len(positions) - length + 1):
            window = positions[start : start + length]
            path = tuple(token for token, _, _ in window)
            target = {path[:d]: window[d][1] for d in range(length)}
            draft = {path[:d]: window[d][2] for d in range(length)}
            chosen = rule.selected_rows(target, draft, path, count)
            ratios = [chosen[d][t] / target[path[:d]][t] for d, t in enumerate(path)]
            tails.append(np.minimum.accumulate(np.minimum(np.cumprod(ratios), 1.0)))
        own = rows.filter(pl.col("doc_id") == str(doc))
        found = own["tail_positions"].to_list()[0]
        assert found == pytest.approx(np.mean(tails, axis=0).tolist(), abs=1e-9)
        whole = own.row(0, named=True)
        emitted = 1.0 + sum(whole["tail_calls"])
        assert whole["call_tokens"] / whole["calls"] == pytest.approx(emitted, abs=1e-9)


def test_rules_that_need_the_same_share_their_columns() -> None:
    assert QuantileRule(2).needs == QuantileRule(4).needs
    uniform = np.full((2, 4), 0.25)
    numbers = QuantileRule(2).numbers(uniform, uniform, np.array([0, 3]))
    tail = QuantileRule(2).tail(*(np.log([0.25, 0.25]),) * 2, numbers, 1)
    assert tail == pytest.approx(paths.text_tail(*(np.log([0.25, 0.25]),) * 2, 1, "block"))
