"""The file of `mdbound trees`: a row for each context, tree and verifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.results import Provenance, Results, read_metadata
from mdbound.errors import CacheError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.format_version import Format

TREES_FORMAT = Format("trees", newest=3, oldest=3, remake="run `run_on_trees` again")

#: Columns that name the laws of a row.
LAW_COLUMNS = ("draft", "temperature", "top_k", "top_p", "min_p", "draft_temperature")

#: Columns that name a tree.
TREE_COLUMNS = ("tree", "sampling", "num_paths", "depth")

#: Every column, in file order.
TREES_SCHEMA: Mapping[str, pl.DataType] = {
    "doc_id": pl.Int64(),
    "task": pl.String(),
    "position": pl.Int64(),  # of the context in its document
    "number": pl.Int64(),  # of the tree among those at the context
    "draft": pl.String(),
    "temperature": pl.Float64(),  # of the target
    "top_k": pl.Int64(),
    "top_p": pl.Float64(),
    "min_p": pl.Float64(),
    "draft_temperature": pl.Float64(),
    "tree": pl.String(),  # law of the trees, in words
    "sampling": pl.String(),  # law of a node's list
    "num_paths": pl.Int64(),  # K; null for trees that are not of i.i.d. paths
    "depth": pl.Int64(),  # L
    "verifier": pl.String(),  # of `mdbound.trees.names()`, or the name of a bound
    "sampled": pl.Boolean(),  # run with coins; else summed over them
    "accepted": pl.Float64(),  # unbiased for E tau over trees; null in rows of the bound
    "tail": pl.List(pl.Float64()),  # of P(tau >= d), d = 1..L; null in rows of the bound
    "bound_terms": pl.List(pl.List(pl.Float64())),  # S_d at each threshold; null elsewhere
    "target_entropy": pl.Float64(),  # nats, at the context
    "overlap": pl.Float64(),  # sum over tokens of min(p, q) there; of several drafts the first
}

_VERSION_KEY = "mdbound_trees_format"


def open_trees(path: Path | str) -> Results:
    """Open a file written by `mdbound trees`.

    Raises:
        CacheError: The file is missing, damaged, of another format, or not of `mdbound trees`.
    """
    path = Path(path)
    metadata = _metadata(path)
    if _VERSION_KEY not in metadata:
        raise CacheError(f"{path} is not a file of draft trees; give one written by `run_on_trees`")
    TREES_FORMAT.checked(metadata[_VERSION_KEY], path)
    try:
        provenance = Provenance.from_metadata(metadata)
    except (KeyError, ValueError) as error:
        raise CacheError(f"{path}: damaged metadata ({error}); run `run_on_trees` again") from error
    frame = pl.scan_parquet(path, glob=False)
    if dict(frame.collect_schema()) != dict(TREES_SCHEMA):
        raise CacheError(f"{path} has other columns than its format says; run `run_on_trees` again")
    return Results(path, provenance, frame)


def holds_trees(path: Path | str) -> bool:
    """Whether a file says that it was written by `mdbound trees`; False if it cannot be read."""
    try:
        return _VERSION_KEY in _metadata(Path(path))
    except CacheError:
        return False


def _metadata(path: Path) -> dict[str, str]:
    return read_metadata(path, "no such file", "run `run_on_trees` again")


def write_trees(frames: Iterable[pl.DataFrame], out: Path, provenance: Provenance) -> int:
    """Write frames one after the other, moved into place in one step.

    Args:
        frames: With the columns of `TREES_SCHEMA`.
        out: The file.
        provenance: Goes into its metadata.

    Returns:
        Rows written.

    Raises:
        OutputError: The file cannot be written.
    """
    import pyarrow.parquet as pq

    metadata = {**provenance.to_metadata(), _VERSION_KEY: str(TREES_FORMAT.newest)}
    del metadata["mdbound_format"]  # it is another format
    schema = pl.DataFrame(schema=dict(TREES_SCHEMA)).to_arrow().schema.with_metadata(metadata)
    rows = 0
    with (
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for frame in frames:
            writer.write_table(frame.to_arrow().cast(schema).replace_schema_metadata(metadata))
            rows += frame.height
    return rows
