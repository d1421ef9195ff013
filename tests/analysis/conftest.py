from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.cache_from_arrays import write_cache

ROWS, VOCAB = 24, 12


def make_cache(folder: Path, *, drafts: int = 2, rows: int = ROWS, shard_rows: int = 10) -> Path:
    """A capture of random logits in three shards: 6 documents, 2 tasks, correlated drafts."""
    rng = np.random.default_rng(7)
    target = rng.normal(scale=2.0, size=(rows, VOCAB)).astype(np.float32)
    noise = rng.normal(size=(drafts, rows, VOCAB)).astype(np.float32)
    index = np.arange(rows)
    positions = pl.DataFrame(
        {
            "doc_id": index // 4,
            "task": np.where(index < rows // 2, "qa", "a_b"),
            "position": index % 4,
            "token_id": index,
            "next_token_id": index % VOCAB,
        }
    )
    names = ("small", "smaller", "smallest")[:drafts]
    logits = {name: target + (k + 1) * noise[k] for k, name in enumerate(names)}
    write_cache(folder, target, logits, positions, shard_rows=shard_rows)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LogitsCache:
    return LogitsCache.open(make_cache(tmp_path_factory.mktemp("captures") / "two-drafts"))


@pytest.fixture
def new_cache(tmp_path: Path) -> Callable[..., LogitsCache]:
    return lambda **options: LogitsCache.open(make_cache(tmp_path / "cache", **options))
