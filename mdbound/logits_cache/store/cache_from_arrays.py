"""A cache made from arrays of logits, without running any model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.atomic_files import make_folder
from mdbound.logits_cache.store.documents import POSITIONS_SCHEMA
from mdbound.logits_cache.store.manifest import (
    MANIFEST_NAME,
    TARGET,
    GenerationRecord,
    Manifest,
    ModelRecord,
    ShardInfo,
    TextRecord,
    checked_draft_name,
    package_versions,
)
from mdbound.logits_cache.store.shards import (
    ROW_GROUP_ROWS,
    ShardWriter,
    default_shard_rows,
)


def write_cache(
    path: str | Path,
    target_logits: npt.ArrayLike,
    draft_logits: Mapping[str, npt.ArrayLike],
    positions: pl.DataFrame | None = None,
    *,
    shard_rows: int | None = None,
    source: str = "arrays",
) -> None:
    """Make a cache from arrays of logits, for those with an inference stack of their own.

    Args:
        path: folder to create.
        target_logits: raw logits of the target, shape (N, V); kept as float32.
        draft_logits: raw logits per draft name, each of shape (N, V).
        positions: N rows with columns doc_id, task, position, token_id, next_token_id. Left out,
            every row is a document of its own and its tokens are unknown (-1).
        shard_rows: rows per shard; by default about 256 MiB of one model's logits.
        source: what the manifest says about where the text came from.

    Raises:
        InvalidSettingError: shapes disagree, a name is not usable, or `path` holds a cache.
        InvalidDistributionError: a row of logits is NaN or infinite.
        OutputError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from mdbound.logits_cache import LogitsCache
        >>> folder = tempfile.mkdtemp()
        >>> write_cache(folder, [[0.0, 1.0]], {"small": [[0.5, 0.5]]})
        >>> LogitsCache.open(folder).draft_names
        ('small',)
    """
    cache = Path(path)
    arrays = {TARGET: _as_logits(TARGET, target_logits)}
    for name, logits in draft_logits.items():
        arrays[checked_draft_name(name)] = _as_logits(name, logits)
    _check_shapes(arrays)
    rows, vocab_size = arrays[TARGET].shape
    table = _anonymous_positions(rows) if positions is None else positions
    _check_positions(table, rows)
    if (cache / MANIFEST_NAME).exists():
        raise InvalidSettingError(f"{cache} already holds a cache; give another folder")
    manifest = _arrays_manifest(arrays, table, source, vocab_size)
    make_folder(cache)
    for index, start in enumerate(range(0, rows, shard_rows or default_shard_rows(vocab_size))):
        stop = min(rows, start + (shard_rows or default_shard_rows(vocab_size)))
        part = {name: logits[start:stop] for name, logits in arrays.items()}
        shard = _write_array_shard(cache, index, manifest, table[start:stop], part)
        manifest = manifest.with_shard(shard)
    replace(manifest, complete=True).write(cache)


def _write_array_shard(
    cache: Path,
    index: int,
    manifest: Manifest,
    table: pl.DataFrame,
    arrays: Mapping[str, npt.NDArray[np.float32]],
) -> ShardInfo:
    doc_ids = table["doc_id"].to_numpy().astype(np.int64)
    positions = table["position"].to_numpy().astype(np.int64)
    with ShardWriter(cache, index, manifest.vocab_size) as writer:
        writer.add_positions({name: table[name].to_list() for name in POSITIONS_SCHEMA.names})
        for model in (manifest.target, *manifest.drafts):
            for rows in _blocks(len(doc_ids)):
                writer.add_logits(model, doc_ids[rows], positions[rows], arrays[model.name][rows])
        return ShardInfo(index, writer.rows, 0, writer.finish())


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, ROW_GROUP_ROWS):
        yield slice(start, min(rows, start + ROW_GROUP_ROWS))


def _as_logits(name: str, logits: npt.ArrayLike) -> npt.NDArray[np.float32]:
    array = np.asarray(logits, dtype=np.float32)
    if array.ndim != 2 or array.size == 0:
        raise InvalidSettingError(
            f"logits of {name!r} have shape {array.shape}; give positions x vocabulary, not empty"
        )
    return array


def _check_shapes(arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
    expected = arrays[TARGET].shape
    for name, array in arrays.items():
        if array.shape != expected:
            raise InvalidSettingError(
                f"logits of {name!r} have shape {array.shape}, the target's {expected}; "
                "give the same positions and vocabulary"
            )


def _check_positions(table: pl.DataFrame, rows: int) -> None:
    missing = [name for name in POSITIONS_SCHEMA.names if name not in table.columns]
    if missing or table.height != rows:
        raise InvalidSettingError(
            f"positions has {table.height} rows and columns {table.columns}; "
            f"give {rows} rows with columns {POSITIONS_SCHEMA.names}"
        )


def _anonymous_positions(rows: int) -> pl.DataFrame:
    unknown = np.full(rows, -1, dtype=np.int32)
    return pl.DataFrame(
        {
            "doc_id": np.arange(rows),
            "task": ["arrays"] * rows,
            "position": np.zeros(rows, dtype=np.int64),
            "token_id": unknown,
            "next_token_id": unknown,
        }
    )


def _arrays_manifest(
    arrays: Mapping[str, npt.NDArray[np.float32]],
    table: pl.DataFrame,
    source: str,
    vocab_size: int,
) -> Manifest:
    # There is no text to hash, so the rows and logits themselves identify the cache.
    digest = hashlib.sha256(table.write_csv().encode())
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).data)
    records = [
        ModelRecord(name, source, "arrays", "", str(array.dtype), vocab_size)
        for name, array in arrays.items()
    ]
    return Manifest(
        vocab_size=vocab_size,
        tokenizer_sha256="",
        target=records[0],
        drafts=tuple(records[1:]),
        text=TextRecord(source, digest.hexdigest(), table["doc_id"].n_unique()),
        generation=GenerationRecord(mode="arrays", seed=0),
        versions=package_versions(),
    )
