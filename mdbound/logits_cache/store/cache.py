"""Reading a logits cache as a stream of batches, with every file's checksum verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mdbound.errors import CacheError, InvalidSettingError, refuse_unknown
from mdbound.logits_cache.store.atomic_files import sha256_of
from mdbound.logits_cache.store.captured_paths import (
    CapturedPaths,
    CapturedTree,
    PathStreams,
    paths_of_shard,
    trees_of_shard,
)
from mdbound.logits_cache.store.documents import UNKNOWN_ENDING, check_documents_format
from mdbound.logits_cache.store.manifest import TARGET, FileRecord, Manifest, ModelRecord, ShardInfo
from mdbound.logits_cache.store.node_table import contexts_of_table
from mdbound.logits_cache.store.path_nodes import ContextNodes
from mdbound.logits_cache.store.shards import shard_path


@dataclass(frozen=True)
class LogitsBatch:
    """Consecutive rows of one shard.

    Attributes:
        shard: index of the shard.
        row: first row of the batch within the shard.
        positions: B rows: doc_id, task, position, token_id (the context's last token) and
            next_token_id (the token that follows, which the logits predict).
        logits: raw float32 logits, shape (B, V), by model: `target` and draft names. Read-only
            views of the file's data where possible.
    """

    shard: int
    row: int
    positions: pl.DataFrame
    logits: dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class LogitsCache:
    """A capture on disk, opened for reading.

    Attributes:
        path: folder of the cache.
        manifest: what the cache says about itself.

    Example:
        >>> import tempfile
        >>> from mdbound.logits_cache import write_cache
        >>> folder = tempfile.mkdtemp()
        >>> write_cache(folder, [[0.0, 1.0], [2.0, 0.0]], {"small": [[0.5, 0.5], [1.0, 0.0]]})
        >>> cache = LogitsCache.open(folder)
        >>> [batch.logits["small"].shape for batch in cache.iter_batches(batch_rows=1)]
        [(1, 2), (1, 2)]
    """

    path: Path
    manifest: Manifest
    _verified: set[Path] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> LogitsCache:
        """Open the cache at `path`.

        Raises:
            CacheError: there is none, or it is damaged or of another format version.
        """
        return cls(Path(path), Manifest.read(Path(path)))

    @property
    def vocab_size(self) -> int:
        """Logits per position, V."""
        return self.manifest.vocab_size

    @property
    def draft_names(self) -> tuple[str, ...]:
        """Names of the drafts that every shard holds, in the manifest's order."""
        return tuple(model.name for model in self.manifest.models()[1:])

    @property
    def shards(self) -> tuple[ShardInfo, ...]:
        """The finished shards."""
        return self.manifest.shards

    @property
    def num_positions(self) -> int:
        """Positions in all finished shards."""
        return sum(shard.rows for shard in self.shards)

    def require_finished(self) -> None:
        """Refuse a capture that is not finished, or holds nothing.

        Raises:
            CacheError: It is neither.
        """
        if not self.manifest.complete or self.num_positions == 0:
            raise CacheError(f"{self.path} is not a finished capture; finish it first")

    @property
    def bytes_on_disk(self) -> int:
        """Size of all shard files in bytes."""
        return sum(record.bytes for shard in self.shards for record in shard.files.values())

    def iter_batches(
        self,
        models: Sequence[str] | None = None,
        *,
        batch_rows: int = 64,
        shards: Sequence[int] | None = None,
    ) -> Iterator[LogitsBatch]:
        """Stream the cache; memory holds one batch per model, whatever the cache's size.

        Args:
            models: `target` and draft names to read; None reads all of them.
            batch_rows: most rows per batch; batches end with their shard.
            shards: indices of the shards to read; None reads all of them.

        Yields:
            Batches in the order of the shards and their rows.

        Raises:
            InvalidSettingError: an unknown model or shard, or batch_rows < 1.
            CacheError: a shard is missing or damaged; the message names its file.
        """
        if batch_rows < 1:
            raise InvalidSettingError(f"`batch_rows` {batch_rows}: give at least 1")
        folders = self._folders(models)
        for shard in self._selected(shards):
            yield from self._shard_batches(shard, folders, batch_rows)

    @property
    def path_draft_names(self) -> tuple[str, ...]:
        """Names of the drafts that drew paths at contexts of the text."""
        return tuple(model.name for model in self.manifest.path_drafts())

    def iter_paths(
        self, draft: str, *, batch_rows: int = 64, shards: Sequence[int] | None = None
    ) -> Iterator[CapturedPaths]:
        """Stream the paths that a draft drew, with both models' logits along them.

        Memory holds the paths of one context, and a batch of rows of each of four files.

        Args:
            draft: name of the draft.
            batch_rows: most rows of a file in memory at a time.
            shards: indices of the shards to read; None reads all of them.

        Yields:
            The paths of a context, in the order of the shards and their rows.

        Raises:
            InvalidSettingError: the draft drew no paths, an unknown shard, or batch_rows < 1.
            CacheError: a shard is missing or damaged; the message names its file.
        """
        drawn = self.manifest.generation.paths
        if drawn is not None and not drawn.draws_paths:
            raise InvalidSettingError(
                f"{self.path} holds trees, which are not made of paths; read them with iter_trees"
            )
        for index, contexts, streams in self._drafted(draft, batch_rows, shards):
            yield from paths_of_shard(draft, index, contexts, streams)

    def iter_trees(
        self, draft: str, *, batch_rows: int = 64, shards: Sequence[int] | None = None
    ) -> Iterator[CapturedTree]:
        """Stream the trees that a draft drew, paths among them, with logits by node.

        Memory holds the tree of one context, and a batch of rows of each of four files.

        Args:
            draft: name of the draft.
            batch_rows: most rows of a file in memory at a time.
            shards: indices of the shards to read; None reads all of them.

        Yields:
            The tree of a context, in the order of the shards and their rows.

        Raises:
            InvalidSettingError: the draft drew nothing, an unknown shard, or batch_rows < 1.
            CacheError: a shard is missing or damaged; the message names its file.
        """
        for index, contexts, streams in self._drafted(draft, batch_rows, shards):
            yield from trees_of_shard(draft, index, contexts, streams)

    def _drafted(
        self, draft: str, batch_rows: int, shards: Sequence[int] | None
    ) -> Iterator[tuple[int, list[ContextNodes], PathStreams]]:
        """Shard by shard the nodes that a draft drew, and streams of the logits there."""
        if batch_rows < 1:
            raise InvalidSettingError(f"`batch_rows` {batch_rows}: give at least 1")
        record = self._path_draft(draft)
        for shard in self._selected(shards):
            contexts = self.read_path_nodes(shard, draft)
            after_target = sum(len(each.target_nodes) for each in contexts)
            after_draft = sum(len(each.draft_nodes) for each in contexts)
            streams = PathStreams(
                self._logits_stream(shard, TARGET, batch_rows, shard.rows),
                self._logits_stream(shard, record.folder, batch_rows, shard.rows),
                self._logits_stream(shard, record.path_target_folder, batch_rows, after_target),
                self._logits_stream(shard, record.path_draft_folder, batch_rows, after_draft),
            )
            yield shard.index, contexts, streams

    def read_path_nodes(self, shard: ShardInfo, draft: str) -> list[ContextNodes]:
        """The contexts of one shard at which a draft drew paths, with the paths as a tree.

        Raises:
            InvalidSettingError: the draft drew no paths.
            CacheError: the file is missing or damaged, or its paths are not the manifest's.
        """
        record = self._path_draft(draft)
        drawn = self.manifest.generation.paths
        if drawn is None:
            raise InvalidSettingError(_no_paths(self.path, draft))
        folder = record.path_nodes_folder
        table, place = self._read(shard, folder), shard_path(self.path, folder, shard.index)
        positions = self.read_positions(shard)
        if positions.height != shard.rows:
            raise CacheError(_damaged(shard_path(self.path, "positions", shard.index)))
        return contexts_of_table(table, positions, drawn, self.vocab_size, place)

    def read_positions(self, shard: ShardInfo) -> pl.DataFrame:
        """The positions of one shard: doc_id, task, position, token_id, next_token_id.

        Raises:
            CacheError: the file is missing or damaged.
        """
        return pl.DataFrame(pl.from_arrow(self._read(shard, "positions")))

    def read_documents(self, shard: ShardInfo) -> list[dict[str, Any]]:
        """The token sequences behind one shard, which is what adding a draft needs.

        Returns:
            One entry per sequence: doc_id, task, offset (position of its first token), first_row
            (index of the first recorded token), token_ids, and ended_by: `end_token` or `limit`
            for an answer, `text`, `limit` or `window` (another one goes on) for a window of text,
            and `unknown` in caches of earlier versions.

        Raises:
            CacheError: the file is missing or damaged.
        """
        rows: list[dict[str, Any]] = self._read(shard, "documents").to_pylist()
        return [{"ended_by": UNKNOWN_ENDING, **row} for row in rows]

    def verify(self) -> None:
        """Check that every file is there and unchanged.

        Raises:
            CacheError: naming the first file that is not.
        """
        for shard in self.shards:
            for folder in shard.files:
                self._verified_path(shard, folder)

    def _folders(self, models: Sequence[str] | None) -> dict[str, str]:
        known = {model.name: model.folder for model in self.manifest.models()}
        refuse_unknown(models or (), known, f"{self.path}: model")
        return known if models is None else {name: known[name] for name in models}

    def _path_draft(self, draft: str) -> ModelRecord:
        refuse_unknown([draft], self.draft_names, f"{self.path}: draft")
        for record in self.manifest.path_drafts():
            if record.name == draft:
                return record
        raise InvalidSettingError(_no_paths(self.path, draft))

    def _selected(self, indices: Sequence[int] | None) -> list[ShardInfo]:
        known = {shard.index: shard for shard in self.shards}
        for index in indices or ():
            if index not in known:
                raise InvalidSettingError(
                    f"{self.path} has no shard {index}; it has 0 to {len(known) - 1}"
                )
        return list(known.values()) if indices is None else [known[index] for index in indices]

    def _shard_batches(
        self, shard: ShardInfo, folders: dict[str, str], batch_rows: int
    ) -> Iterator[LogitsBatch]:
        positions = self.read_positions(shard)
        if positions.height != shard.rows:
            raise CacheError(_damaged(shard_path(self.path, "positions", shard.index)))
        streams = {
            name: self._logits_stream(shard, folder, batch_rows, shard.rows)
            for name, folder in folders.items()
        }
        for row in range(0, shard.rows, batch_rows):
            rows = positions[row : row + batch_rows]
            logits = {name: next(stream) for name, stream in streams.items()}
            yield LogitsBatch(shard.index, row, rows, logits)

    def _logits_stream(
        self, shard: ShardInfo, folder: str, batch_rows: int, rows: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        path = self._verified_path(shard, folder)
        try:
            # Mapped, because arrow would otherwise hold the column's whole compressed data.
            with pq.ParquetFile(path, memory_map=True) as file:
                if file.metadata.num_rows != rows:
                    raise CacheError(_damaged(path))
                _check_logits_column(file.schema_arrow, path)
                for batch in file.iter_batches(batch_rows, columns=["logits"]):
                    values = batch.column(0).flatten().to_numpy(zero_copy_only=True)
                    if len(values) != batch.num_rows * self.vocab_size:
                        raise CacheError(
                            f"{path} holds {len(values) // batch.num_rows} logits a row, the "
                            f"manifest says {self.vocab_size}; capture again"
                        )
                    yield values.reshape(batch.num_rows, self.vocab_size)
        except (OSError, pa.ArrowException) as error:
            raise CacheError(_damaged(path)) from error

    def _read(self, shard: ShardInfo, folder: str) -> Any:
        path = self._verified_path(shard, folder)
        try:
            table = pq.read_table(path, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise CacheError(_damaged(path)) from error
        check_documents_format(table.schema, path)
        return table

    def _verified_path(self, shard: ShardInfo, folder: str) -> Path:
        path = shard_path(self.path, folder, shard.index)
        if folder not in shard.files:
            raise CacheError(f"{self.path} records no {path.relative_to(self.path)}; capture again")
        if path not in self._verified:
            _check_file(path, shard.files[folder])
            self._verified.add(path)
        return path


def _check_file(path: Path, record: FileRecord) -> None:
    try:
        intact = path.stat().st_size == record.bytes and sha256_of(path) == record.sha256
    except FileNotFoundError as error:
        raise CacheError(f"shard {path} is missing; restore it or capture again") from error
    except OSError as error:
        raise CacheError(f"shard {path} cannot be read ({error})") from error
    if not intact:
        raise CacheError(_damaged(path))


def _check_logits_column(schema: Any, path: Path) -> None:
    found: Any = schema.field("logits").type if "logits" in schema.names else None
    lists = found is not None and pa.types.is_fixed_size_list(found)
    if not lists or found.value_type != pa.float32():
        raise CacheError(
            f"{path} has no column of logits in lists of float32 of one size (it is {found}); "
            "capture again"
        )


def _no_paths(cache: Path, draft: str) -> str:
    return (
        f"{cache} has no paths that {draft!r} drew; capture again, into another folder, with "
        "`paths` and `length`, or with `tree`"
    )


def _damaged(path: Path) -> str:
    return (
        f"shard {path} is damaged (its checksum is not the manifest's); restore it or capture again"
    )
