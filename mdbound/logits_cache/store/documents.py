"""Format of the text of a capture: its positions, and the token sequences they lie in.

`positions` has a row per position, in the order of the logits; `documents` has the sequences that
the models read, from which further drafts can be added. Both carry the version of this format in
their Parquet metadata.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from mdbound.logits_cache.store.format_version import Format

#: Version 1, which files without a version have, did not say how sequences ended.
DOCUMENTS_FORMAT = Format("documents", newest=2, oldest=1, remake="capture again")

#: How a sequence of a version that does not say so ended.
UNKNOWN_ENDING = "unknown"

_VERSION_KEY = b"mdbound_documents_format"
_METADATA = {_VERSION_KEY: str(DOCUMENTS_FORMAT.newest).encode()}

POSITIONS_SCHEMA = pa.schema(
    [
        ("doc_id", pa.int64()),
        ("task", pa.string()),
        ("position", pa.int64()),
        ("token_id", pa.int32()),
        ("next_token_id", pa.int32()),
    ],
    metadata=_METADATA,
)
DOCUMENTS_SCHEMA = pa.schema(
    [
        ("doc_id", pa.int64()),
        ("task", pa.string()),
        ("offset", pa.int64()),
        ("first_row", pa.int64()),
        ("token_ids", pa.list_(pa.int32())),
        ("ended_by", pa.string()),
    ],
    metadata=_METADATA,
)


def check_documents_format(schema: pa.Schema, path: Path) -> None:
    """Refuse a file of positions or documents that another version of the format wrote.

    Raises:
        CacheError: Naming both versions.
    """
    found = (schema.metadata or {}).get(_VERSION_KEY, b"1")
    DOCUMENTS_FORMAT.checked(found.decode(), path)
