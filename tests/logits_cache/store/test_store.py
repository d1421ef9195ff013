from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdbound.errors import (
    CacheError,
    InvalidDistributionError,
    InvalidSettingError,
    OutputError,
)
from mdbound.logits_cache import LogitsCache, write_cache
from mdbound.logits_cache.store.manifest import Manifest

ROWS, VOCAB = 150, 11


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    names = ("target", "small", "skip-1")
    return {name: rng.normal(size=(ROWS, VOCAB)).astype(np.float32) for name in names}


@pytest.fixture
def positions() -> pl.DataFrame:
    rows = np.arange(ROWS)
    return pl.DataFrame(
        {
            "doc_id": rows // 10,
            "task": [f"task{row // 50}" for row in rows],
            "position": rows % 10,
            "token_id": rows % VOCAB,
            "next_token_id": (rows + 1) % VOCAB,
        }
    )


@pytest.fixture
def cache(tmp_path: Path, arrays: dict[str, np.ndarray], positions: pl.DataFrame) -> Path:
    drafts = {name: array for name, array in arrays.items() if name != "target"}
    write_cache(tmp_path / "cache", arrays["target"], drafts, positions, shard_rows=70)
    return tmp_path / "cache"


@pytest.mark.parametrize("batch_rows", [1, 7, 64, 1000])
def test_what_is_read_is_what_was_written(
    cache: Path, arrays: dict[str, np.ndarray], positions: pl.DataFrame, batch_rows: int
) -> None:
    opened = LogitsCache.open(cache)
    assert opened.draft_names == ("small", "skip-1")
    assert (opened.num_positions, opened.vocab_size) == (ROWS, VOCAB)
    assert [(shard.index, shard.rows) for shard in opened.shards] == [(0, 70), (1, 70), (2, 10)]
    batches = list(opened.iter_batches(batch_rows=batch_rows))
    for name, expected in arrays.items():
        read = np.concatenate([batch.logits[name] for batch in batches])
        assert read.dtype == np.float32
        assert np.array_equal(read, expected)
    read_positions = pl.concat([batch.positions for batch in batches])
    assert read_positions.to_dicts() == positions.to_dicts()
    starts = [batch.row for batch in batches if batch.shard == 1]
    assert starts == list(range(0, 70, batch_rows))


def test_reading_holds_a_few_batches_not_the_shard(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2048, 1024)).astype(np.float32)  # 8 MiB
    write_cache(tmp_path, logits, {"d": logits})
    before, peak = pa.total_allocated_bytes(), 0
    for _ in LogitsCache.open(tmp_path).iter_batches(batch_rows=32):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert 0 < peak < logits.nbytes / 4


def test_selected_models_and_shards(cache: Path, arrays: dict[str, np.ndarray]) -> None:
    (batch,) = LogitsCache.open(cache).iter_batches(["small"], shards=[2])
    assert list(batch.logits) == ["small"]
    assert np.array_equal(batch.logits["small"], arrays["small"][140:])


def test_unknown_names_are_refused(cache: Path) -> None:
    opened = LogitsCache.open(cache)
    with pytest.raises(
        InvalidSettingError, match="model 'big' is unknown: it can be target, small, skip-1"
    ):
        next(opened.iter_batches(["big"]))
    with pytest.raises(InvalidSettingError, match="no shard 3"):
        next(opened.iter_batches(shards=[3]))
    with pytest.raises(InvalidSettingError, match="`batch_rows` 0"):
        next(opened.iter_batches(batch_rows=0))


def test_plain_polars_and_pyarrow_read_it(cache: Path, arrays: dict[str, np.ndarray]) -> None:
    frame = pl.read_parquet(cache / "target" / "part-*.parquet")
    assert frame.schema["logits"] == pl.Array(pl.Float32, VOCAB)
    assert np.array_equal(frame["logits"].to_numpy(), arrays["target"])
    table = pq.read_table(cache / "draft-small" / "part-00001.parquet")
    assert table.column_names == ["doc_id", "position", "logits"]
    assert str(table.schema.field("logits").type) == f"fixed_size_list<element: float>[{VOCAB}]"
    assert table["doc_id"].to_pylist() == [row // 10 for row in range(70, 140)]


def test_logits_are_split_by_byte_and_compressed(cache: Path) -> None:
    metadata = pq.ParquetFile(cache / "target" / "part-00000.parquet").metadata
    column = metadata.row_group(0).column(2)
    assert column.path_in_schema == "logits.list.element"
    assert "BYTE_STREAM_SPLIT" in column.encodings
    assert column.compression == "ZSTD"
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [64, 6]


def test_damaged_shard_is_named(cache: Path) -> None:
    path = cache / "draft-small" / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    opened = LogitsCache.open(cache)
    with pytest.raises(CacheError, match=r"draft-small/part-00001.parquet is damaged"):
        list(opened.iter_batches())
    with pytest.raises(CacheError, match="is damaged"):
        opened.verify()
    assert len(list(opened.iter_batches(["target"]))) == 5  # the others are still readable


def test_missing_shard_is_named(cache: Path) -> None:
    (cache / "target" / "part-00002.parquet").unlink()
    with pytest.raises(CacheError, match=r"target/part-00002.parquet is missing"):
        list(LogitsCache.open(cache).iter_batches())


@pytest.mark.parametrize("content", ["{", '{"format_version": 1}', "[]"])
def test_unreadable_manifest(cache: Path, content: str) -> None:
    (cache / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(CacheError, match=r"manifest\.json"):
        LogitsCache.open(cache)


def test_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no logits cache at"):
        LogitsCache.open(tmp_path)


def test_identity_is_stable_and_follows_the_content(
    cache: Path, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    identity = Manifest.read(cache).identity()
    assert identity == LogitsCache.open(cache).manifest.identity()
    assert len(identity) == 64
    write_cache(tmp_path / "other", arrays["target"], {"small": arrays["small"]})
    assert Manifest.read(tmp_path / "other").identity() != identity


def test_masked_tokens_are_kept(tmp_path: Path) -> None:
    write_cache(tmp_path, [[0.0, -np.inf]], {"d": [[-np.inf, 0.0]]})
    (batch,) = LogitsCache.open(tmp_path).iter_batches()
    assert batch.logits["target"].tolist() == [[0.0, -np.inf]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.0, np.nan], "holds nan"),
        ([np.inf, 0.0], "holds inf"),
        ([-np.inf, -np.inf], "masks every token"),
    ],
)
def test_rows_that_are_no_distribution(tmp_path: Path, row: list[float], message: str) -> None:
    with pytest.raises(InvalidDistributionError, match=f"document 1, position 0.*{message}"):
        write_cache(tmp_path / "c", [[0.0, 0.0], row], {"d": [[0.0, 0.0]] * 2})
    assert not list((tmp_path / "c").rglob("*.p*"))  # no Parquet, no partial file


def test_bad_arrays(tmp_path: Path, positions: pl.DataFrame) -> None:
    target = np.zeros((2, 3))
    with pytest.raises(InvalidSettingError, match=r"'d' have shape \(2, 4\)"):
        write_cache(tmp_path, target, {"d": np.zeros((2, 4))})
    with pytest.raises(InvalidSettingError, match="not empty"):
        write_cache(tmp_path, np.zeros((0, 3)), {})
    with pytest.raises(InvalidSettingError, match=r"'../x' cannot name a draft"):
        write_cache(tmp_path, target, {"../x": target})
    with pytest.raises(InvalidSettingError, match="'target' cannot name a draft"):
        write_cache(tmp_path, target, {"target": target})
    with pytest.raises(InvalidSettingError, match="positions has 150 rows"):
        write_cache(tmp_path, target, {"d": target}, positions)
    write_cache(tmp_path, target, {"d": target})
    with pytest.raises(InvalidSettingError, match="already holds a cache"):
        write_cache(tmp_path, target, {"d": target})


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="check the folder"):
        write_cache(tmp_path / "file" / "cache", np.zeros((1, 2)), {})
