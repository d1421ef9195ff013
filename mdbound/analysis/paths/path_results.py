"""The file of `mdbound paths`: tidy rows per document, rule and draft length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.results import Provenance, Results, read_metadata
from mdbound.errors import CacheError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.format_version import Format

PATHS_FORMAT = Format("paths", newest=1, oldest=1, remake="run `run_on_capture` again")

#: Columns that name the laws of a row.
LAW_COLUMNS = ("draft", "temperature", "top_k", "top_p", "min_p", "draft_temperature")

#: Columns that name a rule.
RULE_COLUMNS = ("scheme", "sampling", "num_drafts")

#: Every column, in file order. Tails are lists over l = 1..L.
PATHS_SCHEMA: Mapping[str, pl.DataType] = {
    "doc_id": pl.String(),
    "turn": pl.Int64(),  # which text of the document, from 0
    "task": pl.String(),
    "scheme": pl.String(),  # of `mdbound.paths.names()`, or of `mdbound.schemes` node by node
    "sampling": pl.String(),  # draft law of a node's children; null for rules of one path
    "num_drafts": pl.Int64(),  # children of a node; null for rules of one path
    "draft": pl.String(),
    "temperature": pl.Float64(),  # of the target; null where only log-probabilities are known
    "top_k": pl.Int64(),
    "top_p": pl.Float64(),
    "min_p": pl.Float64(),
    "draft_temperature": pl.Float64(),
    "draft_length": pl.Int64(),  # L, tokens drafted before each call
    "tokens": pl.Int64(),  # of the text
    "finish_reason": pl.String(),  # "stop", or "length": cut by its limit
    "positions": pl.Int64(),  # windows of L tokens that lie in the text
    "starts": pl.Int64(),  # positions where a counted call may start
    "calls": pl.Float64(),  # expected number of counted calls; null for rules without calls
    "call_tokens": pl.Float64(),  # expected number of tokens that they emit
    "tail_positions": pl.List(pl.Float64()),  # P(tau >= l), mean over positions
    "tail_calls": pl.List(pl.Float64()),  # P(tau >= l), mean over calls
}

_VERSION_KEY = "mdbound_paths_format"


def open_paths(path: Path | str) -> Results:
    """Open a file written by `mdbound paths`.

    Raises:
        CacheError: The file is missing, damaged, of another format, or not of `mdbound paths`.
    """
    path = Path(path)
    metadata = _metadata(path)
    if _VERSION_KEY not in metadata:
        raise CacheError(
            f"{path} is not a file of tokens per call; give one written by `run_on_capture`"
        )
    PATHS_FORMAT.checked(metadata[_VERSION_KEY], path)
    try:
        provenance = Provenance.from_metadata(metadata)
    except (KeyError, ValueError) as error:
        raise CacheError(
            f"{path}: damaged metadata ({error}); run `run_on_capture` again"
        ) from error
    frame = pl.scan_parquet(path, glob=False)
    if dict(frame.collect_schema()) != dict(PATHS_SCHEMA):
        raise CacheError(
            f"{path} has other columns than its format says; run `run_on_capture` again"
        )
    return Results(path, provenance, frame)


def holds_paths(path: Path | str) -> bool:
    """Whether a file says that it was written by `mdbound paths`; False if it cannot be read."""
    try:
        return _VERSION_KEY in _metadata(Path(path))
    except CacheError:
        return False


def _metadata(path: Path) -> dict[str, str]:
    return read_metadata(path, "no such file", "run `run_on_capture` again")


def write_paths(frames: Iterable[pl.DataFrame], out: Path, provenance: Provenance) -> int:
    """Write frames one after the other, moved into place in one step.

    Args:
        frames: With the columns of `PATHS_SCHEMA`.
        out: The file.
        provenance: Goes into its metadata.

    Returns:
        Rows written.

    Raises:
        OutputError: The file cannot be written.
    """
    import pyarrow.parquet as pq

    metadata = {**provenance.to_metadata(), _VERSION_KEY: str(PATHS_FORMAT.newest)}
    del metadata["mdbound_format"]  # it is another format
    schema = pl.DataFrame(schema=dict(PATHS_SCHEMA)).to_arrow().schema.with_metadata(metadata)
    rows = 0
    with (
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for frame in frames:
            writer.write_table(frame.to_arrow().cast(schema).replace_schema_metadata(metadata))
            rows += frame.height
    return rows
