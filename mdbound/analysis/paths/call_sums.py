"""Tokens and calls of every document, and how often a resample has each: for paired intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.statistics.bootstrap import Bootstrap

Floats = NDArray[np.float64]

_DOCUMENT = ["task", "doc_id"]


def calls_by_document(
    rows: pl.DataFrame, documents: pl.DataFrame | None = None, lengths: Sequence[int] = ()
) -> tuple[tuple[int, ...], Floats, Floats]:
    """Draft lengths, and tokens and calls of every document, (D, lengths).

    Args:
        rows: Of one rule at one setting, with calls.
        documents: `task` and `doc_id` in the order wanted; those of the rows when None. A document
            without rows has no calls.
        lengths: The draft lengths wanted; those of the rows when empty.
    """
    sums = rows.group_by(*_DOCUMENT, "draft_length", maintain_order=True).agg(
        pl.col("call_tokens").sum(), pl.col("calls").sum()
    )
    wanted = documents_of(rows) if documents is None else documents
    across = tuple(lengths) or tuple(sorted(sums["draft_length"].unique()))
    tables = []
    for name in ("call_tokens", "calls"):
        wide = sums.pivot("draft_length", index=_DOCUMENT, values=name)
        absent = [str(length) for length in across if str(length) not in wide.columns]
        wide = wide.with_columns(pl.lit(None, pl.Float64).alias(length) for length in absent)
        placed = wanted.join(wide, on=_DOCUMENT, how="left", maintain_order="left")
        # No call is left of a short text at a long draft.
        tables.append(placed.select(map(str, across)).fill_null(0.0).to_numpy())
    return across, tables[0], tables[1]


def documents_of(rows: pl.DataFrame) -> pl.DataFrame:
    """`task` and `doc_id` of the documents in rows, in their order."""
    return rows.select(_DOCUMENT).unique(maintain_order=True)


def resampled_documents(documents: int, how: Bootstrap) -> Floats:
    """How often each resample has each document, (resamples, D).

    Example:
        >>> resampled_documents(3, Bootstrap(resamples=100)).sum(axis=1).max().item()
        3.0
    """
    rng = np.random.default_rng(how.seed)
    share = np.full(documents, 1.0 / documents)
    return rng.multinomial(documents, share, size=how.resamples).astype(np.float64)
