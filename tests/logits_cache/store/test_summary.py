from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.logits_cache import LogitsCache, write_cache
from mdbound.logits_cache.store.summary import CacheSummary, summarise

TARGET = np.array([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
DRAFT = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
ACCEPTED = np.array([0.75, 0.75, 0.5, 1.0])


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(probabilities) + 7.0


def summary_of(folder: Path, doc_ids: list[int]) -> CacheSummary:
    positions = pl.DataFrame(
        {
            "doc_id": doc_ids,
            "task": ["qa" if doc_id < 2 else "rag" for doc_id in doc_ids],
            "position": [0] * 4,
            "token_id": [0] * 4,
            "next_token_id": [0] * 4,
        }
    )
    drafts = {"small": logits_of(DRAFT), "twin": logits_of(TARGET)}
    write_cache(folder, logits_of(TARGET), drafts, positions, shard_rows=3)
    return summarise(LogitsCache.open(folder))


def test_averages(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [0, 0, 1, 5])
    target, small, twin = summary.models
    entropies = [-sum(p * np.log(p) for p in row if p > 0) for row in TARGET]
    assert target.entropy == pytest.approx(np.mean(entropies), abs=1e-6)
    assert target.acceptance is None
    assert small.acceptance == pytest.approx(ACCEPTED.mean(), abs=1e-6)
    assert twin.acceptance == pytest.approx(1.0, abs=1e-6)
    assert twin.standard_error == pytest.approx(0.0, abs=1e-6)


def test_standard_error_is_over_documents(tmp_path: Path) -> None:
    small = summary_of(tmp_path, [0, 0, 1, 5]).models[1]
    # Documents of 2, 1 and 1 positions: residual sums 0, -0.25 and 0.25 about the mean 0.75.
    assert small.standard_error == pytest.approx(np.sqrt(3 / 2 * 0.125) / 4, abs=1e-6)


def test_one_document_has_no_standard_error(tmp_path: Path) -> None:
    assert summary_of(tmp_path, [3, 3, 3, 3]).models[1].standard_error is None


def test_tasks_are_counted_across_shards(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [0, 1, 2, 2])
    assert [(task.task, task.documents, task.positions) for task in summary.tasks] == [
        ("qa", 2, 2),
        ("rag", 1, 2),
    ]
