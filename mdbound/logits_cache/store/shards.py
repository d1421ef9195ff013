"""Writing shards: Parquet files that appear only when whole, one per model and shard."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mdbound.errors import InvalidDistributionError
from mdbound.logits_cache.store.atomic_files import output_error, publish, sha256_of, temporary_name
from mdbound.logits_cache.store.documents import DOCUMENTS_SCHEMA, POSITIONS_SCHEMA
from mdbound.logits_cache.store.manifest import TARGET, FileRecord, ModelRecord
from mdbound.logits_cache.store.node_table import PATH_NODES_SCHEMA, path_nodes_table
from mdbound.logits_cache.store.path_nodes import ContextNodes, PathNode

#: Rows that are written, and read, at a time: fewer spare memory, more compress a little better.
ROW_GROUP_ROWS = 64

#: Nodes of paths that are written at a time: their rows are small.
_NODE_GROUP_ROWS = 4096

#: Raw float32 logits of one model in one shard, before compression. A shard is what an interruption
#: costs; smaller ones make more files, and a manifest each.
SHARD_BYTES = 256 * 2**20

Column = Sequence[Any] | npt.NDArray[Any]


def logits_schema(vocab_size: int) -> pa.Schema:
    """Arrow schema of a model's shard: doc_id, position, logits as FixedSizeList<float32>[V]."""
    return pa.schema(
        [
            ("doc_id", pa.int64()),
            ("position", pa.int64()),
            ("logits", pa.list_(pa.float32(), vocab_size)),
        ]
    )


def path_logits_schema(vocab_size: int) -> pa.Schema:
    """Arrow schema of logits along paths: those of a shard, with the node that they follow."""
    doc_id, position, logits = logits_schema(vocab_size)
    return pa.schema([doc_id, position, ("node", pa.int32()), logits])


def default_shard_rows(vocab_size: int) -> int:
    """Rows per shard that keep one model's raw logits near 256 MiB.

    >>> default_shard_rows(49_152)
    1365
    """
    return max(ROW_GROUP_ROWS, SHARD_BYTES // (4 * vocab_size))


def shard_path(cache: Path, folder: str, index: int) -> Path:
    """File of shard `index` in one of the cache's folders."""
    return cache / folder / f"part-{index:05d}.parquet"


class _OpenFile:
    """A Parquet file in the making, which collects rows into whole row groups.

    Documents come with a few rows each; a row group per document would bloat the file's footer.
    """

    # pyarrow ships no types, hence the Any
    def __init__(self, path: Path, schema: Any, row_group_rows: int) -> None:
        self.path = path
        self._row_group_rows = row_group_rows
        self._writer = _parquet_writer(path, schema)
        self._pending: list[Any] = []

    def write(self, table: Any) -> None:
        self._pending.append(table)
        size = self._row_group_rows
        if sum(part.num_rows for part in self._pending) >= size:
            rows = pa.concat_tables(self._pending)
            whole = rows.num_rows - rows.num_rows % size
            self._writer.write_table(rows[:whole], row_group_size=size)
            self._pending = [rows[whole:]] if whole < rows.num_rows else []

    def close(self) -> None:
        if self._pending:
            self._writer.write_table(pa.concat_tables(self._pending))
            self._pending = []
        self._writer.close()


class ShardWriter:
    """One shard in the making: rows go in as they come, the files appear at `finish`.

    Used as a context manager; leaving it without `finish` removes everything it wrote. Memory
    holds one block of rows, never the shard.

    Args:
        cache: folder of the cache.
        index: number of the shard.
        vocab_size: logits per row, V.
    """

    def __init__(self, cache: Path, index: int, vocab_size: int) -> None:
        self._cache = cache
        self._index = index
        self._logits_schema = logits_schema(vocab_size)
        self._vocab_size = vocab_size
        self._open: dict[str, _OpenFile] = {}
        self.rows = 0
        self.documents = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._discard()

    def add_positions(self, rows: Mapping[str, Column]) -> None:
        """Append rows of the `positions` file, given as columns of POSITIONS_SCHEMA."""
        table = pa.table(dict(rows), schema=POSITIONS_SCHEMA)
        self.write("positions", table)
        self.rows += table.num_rows

    def add_documents(self, rows: Mapping[str, Column]) -> None:
        """Append rows of the `documents` file, given as columns of DOCUMENTS_SCHEMA."""
        table = pa.table(dict(rows), schema=DOCUMENTS_SCHEMA)
        self.write("documents", table)
        self.documents += table.num_rows

    def add_logits(
        self,
        model: ModelRecord,
        doc_ids: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        logits: npt.NDArray[np.float32],
    ) -> None:
        """Append one model's raw logits, shape (B, V), for the next B rows of the shard.

        Raises:
            InvalidDistributionError: a row holds NaN or +infinity, or is -infinity throughout.
            OutputError: the disk refused the data.
        """
        check_logits(model.name, doc_ids, positions, logits)
        table = pa.table(
            {
                "doc_id": pa.array(doc_ids),
                "position": pa.array(positions),
                "logits": self._lists(logits),
            },
            schema=self._logits_schema,
        )
        self.write(model.folder, table)

    def begin_paths(self, draft: ModelRecord) -> None:
        """Make the files of a draft's paths, which a shard has even if no context has room.

        Raises:
            OutputError: the disk refused the data.
        """
        rows = path_logits_schema(self._vocab_size).empty_table()
        self.write(draft.path_nodes_folder, PATH_NODES_SCHEMA.empty_table(), _NODE_GROUP_ROWS)
        self.write(draft.path_target_folder, rows)
        self.write(draft.path_draft_folder, rows)

    def add_paths(
        self,
        draft: ModelRecord,
        paths: ContextNodes,
        target_logits: npt.NDArray[np.float32],
        draft_logits: npt.NDArray[np.float32],
    ) -> None:
        """Append the paths that a draft drew at one context, with both models' raw logits.

        Args:
            draft: the draft.
            paths: the context and its paths; contexts come in the order of the shard's rows.
            target_logits: shape (nodes, V), after each of `paths.target_nodes`.
            draft_logits: likewise, after each of `paths.draft_nodes`.

        Raises:
            InvalidDistributionError: a row holds NaN or +infinity, or is -infinity throughout.
            OutputError: the disk refused the data.
        """
        self.write(draft.path_nodes_folder, path_nodes_table([paths]), _NODE_GROUP_ROWS)
        folder, nodes = draft.path_target_folder, paths.target_nodes
        self._add_path_logits(folder, TARGET, paths, nodes, target_logits)
        folder, nodes = draft.path_draft_folder, paths.draft_nodes
        self._add_path_logits(folder, draft.name, paths, nodes, draft_logits)

    def _add_path_logits(
        self,
        folder: str,
        model: str,
        paths: ContextNodes,
        nodes: Sequence[PathNode],
        logits: npt.NDArray[np.float32],
    ) -> None:
        if not nodes:
            return
        doc_ids = np.full(len(nodes), paths.doc_id, dtype=np.int64)
        depths = np.array([node.depth for node in nodes], dtype=np.int64)
        check_logits(model, doc_ids, paths.position + depths, logits)
        table = pa.table(
            {
                "doc_id": pa.array(doc_ids),
                "position": pa.array(np.full(len(nodes), paths.position, dtype=np.int64)),
                "node": [node.node for node in nodes],
                "logits": self._lists(logits),
            },
            schema=path_logits_schema(self._vocab_size),
        )
        self.write(folder, table)

    def _lists(self, logits: npt.NDArray[np.float32]) -> Any:
        values = pa.array(np.ascontiguousarray(logits, dtype=np.float32).ravel())
        return pa.FixedSizeListArray.from_arrays(values, self._vocab_size)

    def write(self, folder: str, table: Any, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        """Append an Arrow table to the shard's file in `folder`.

        Raises:
            OutputError: the disk refused the data.
        """
        path = shard_path(self._cache, folder, self._index)
        try:
            if folder not in self._open:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._open[folder] = _OpenFile(path, table.schema, row_group_rows)
            self._open[folder].write(table)
        except OSError as error:
            raise output_error(path, error) from error

    def finish(self) -> dict[str, FileRecord]:
        """Publish all files of the shard.

        Returns:
            The record of each file, by folder.

        Raises:
            OutputError: the disk refused the data; nothing of this shard remains.
        """
        records = {}
        for folder, item in self._open.items():
            try:
                item.close()
                temporary = temporary_name(item.path)
                records[folder] = FileRecord(temporary.stat().st_size, sha256_of(temporary))
            except OSError as error:
                raise output_error(item.path, error) from error
        for item in self._open.values():
            try:
                publish(item.path)
            except OSError as error:
                raise output_error(item.path, error) from error
        self._open.clear()
        return records

    def _discard(self) -> None:
        for item in self._open.values():
            # The file is thrown away: what it could not flush does not matter.
            with contextlib.suppress(OSError, pa.ArrowException):
                item.close()
            temporary_name(item.path).unlink(missing_ok=True)
        self._open.clear()


def check_logits(
    model: str,
    doc_ids: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    logits: Any,
) -> None:
    """Refuse logits, an array or tensor of shape (B, V), that give no distribution.

    Minus infinity is a masked token and is allowed, unless it masks every token of a row.

    Raises:
        InvalidDistributionError: naming the model, document and position of the first bad row.
    """
    # A row's maximum is NaN, +inf or -inf exactly when the row is bad: one pass over the data.
    is_array = isinstance(logits, np.ndarray)
    largest = logits.max(axis=1) if is_array else logits.amax(dim=1).float().cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(largest))
    if bad.size == 0:
        return
    row = int(bad[0])
    value = float(largest[row])
    what = "masks every token (all logits are -inf)" if value == -np.inf else f"holds {value}"
    raise InvalidDistributionError(
        f"model {model!r} gives no distribution for document {int(doc_ids[row])}, "
        f"position {int(positions[row])}: its row of logits {what}; "
        "try `dtype` float32, or check its weights"
    )


def _parquet_writer(path: Path, schema: Any) -> Any:
    # The four bytes of each float go to separate streams, which zstd then packs: bfloat16-valued
    # logits shrink to a third and read faster than uncompressed ones. Dictionaries would only
    # cost time on values that rarely repeat.
    encodings = {"column_encoding": {"logits.list.element": "BYTE_STREAM_SPLIT"}}
    return pq.ParquetWriter(
        temporary_name(path),
        schema,
        compression="zstd",
        use_dictionary=["task"] if "task" in schema.names else False,
        write_statistics=False,
        **(encodings if "logits" in schema.names else {}),
    )
