"""The file of `mdbound paths`: tidy rows per document, rule and draft length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from mdbound.analysis.paths.path_setting import SAMPLED
from mdbound.analysis.solving.results import Provenance, Results, read_metadata
from mdbound.errors import CacheError
from mdbound.logits_cache.store.atomic_files import replacing
from mdbound.logits_cache.store.format_version import Format

PATHS_FORMAT = Format("paths", newest=2, oldest=1, remake="run `run_on_capture` again")

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
    "last_level": pl.String(),  # of tail_positions: last token "sampled", or summed: "exact"
    "weights": pl.List(pl.Float64()),  # sum over windows; null for text at its own law
    "effective_size": pl.List(pl.Float64()),  # windows that the weights leave in effect
}

#: What version 1 lacks, and what it means by that.
_LATER: Mapping[str, str | None] = {"last_level": SAMPLED, "weights": None, "effective_size": None}

#: Columns that name the law of the target.
_TARGET_COLUMNS = ("temperature", "top_k", "top_p", "min_p")

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
        settings = [{"last_level": SAMPLED, **one} for one in provenance.settings]
    except (KeyError, ValueError) as error:
        raise CacheError(
            f"{path}: damaged metadata ({error}); run `run_on_capture` again"
        ) from error
    frame = _with_later_columns(pl.scan_parquet(path, glob=False))
    if dict(frame.collect_schema()) != dict(PATHS_SCHEMA):
        raise CacheError(
            f"{path} has other columns than its format says; run `run_on_capture` again"
        )
    return Results(path, replace(provenance, settings=settings), frame)


def _with_later_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with the columns that came with a later version."""
    found = frame.collect_schema().names()
    lacking = [
        pl.lit(value, PATHS_SCHEMA[name]).alias(name)
        for name, value in _LATER.items()
        if name not in found
    ]
    return frame.with_columns(lacking)


@dataclass(frozen=True)
class EffectiveSize:
    """Windows that weights leave in effect at one law of the target.

    Attributes:
        law: Columns of the results that name it, without those that cut nothing.
        draft_length: The longest L.
        windows: Of L tokens, of all texts.
        size: The smallest over l = 1..L.
    """

    law: Mapping[str, object]
    draft_length: int
    windows: int
    size: float


def effective_sizes(results: Results) -> list[EffectiveSize]:
    """Of every law of the target that the text is not of, at the longest drafts.

    Args:
        results: From `open_paths`.
    """
    weighted = results.frame.filter(pl.col("weights").is_not_null()).collect()
    longest = weighted.filter(pl.col("draft_length") == pl.col("draft_length").max())
    found = []
    for at_law in longest.partition_by(_TARGET_COLUMNS, maintain_order=True):
        # Weights are of the target alone; sampled and exact last levels have different ones.
        rules = at_law.partition_by(*RULE_COLUMNS, *LAW_COLUMNS)
        law = {name: at_law[name][0] for name in _TARGET_COLUMNS if at_law[name][0] is not None}
        sizes = [_pooled_size(rule) for rule in rules]
        found.append(
            EffectiveSize(
                law, at_law["draft_length"][0], int(rules[0]["positions"].sum()), min(sizes)
            )
        )
    return found


def _pooled_size(rows: pl.DataFrame) -> float:
    """The smallest effective size of several texts together, from weights and size of each."""
    weights, sizes = (np.array(rows[name].to_list()) for name in ("weights", "effective_size"))
    squares = np.divide(weights**2, sizes, out=np.zeros_like(weights), where=sizes > 0.0)
    total = weights.sum(axis=0) ** 2
    below = squares.sum(axis=0)
    return float(np.divide(total, below, out=np.zeros_like(total), where=below > 0.0).min())


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
