"""Where a table comes from, as JSON beside it: what it shows, of which files, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbound.errors import CacheError, OutputError

VERSION = 1

LARGEST = 1 << 22
"""Bytes of a file of provenance that is read: real ones have a few thousand."""


@dataclass(frozen=True)
class Origin:
    """What the JSON file beside a table says.

    Attributes:
        caption: What the numbers are.
        notes: Warnings and provenance, as sentences.
        results: SHA-256 of each results file that it was made from, by name.
        files: SHA-256 of each file of the table, by name.
    """

    caption: str
    notes: tuple[str, ...]
    results: Mapping[str, str]
    files: Mapping[str, str]


def origin_of(
    caption: str, notes: Sequence[str], files: Sequence[Path], results: Sequence[Path]
) -> str:
    """The text of the JSON file.

    Args:
        caption: Of the table.
        notes: Below it.
        files: Of the table, written already.
        results: Files that it was made from.

    Raises:
        OutputError: One of them cannot be read.
    """
    values = {
        "mdbound_table": VERSION,
        "caption": caption,
        "notes": list(notes),
        "results": {file.name: sha256(file) for file in results},
        "files": {file.name: sha256(file) for file in files},
    }
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def sha256(file: Path) -> str:
    """SHA-256 of a file in hex, as `sha256sum` prints it.

    Raises:
        OutputError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise OutputError(f"{file} cannot be read ({error.strerror})") from error


def read_origin(file: Path) -> Origin:
    """Read what `origin_of` made, of a file that anybody may have written.

    Raises:
        CacheError: It is missing, too large, or no such file; names what is wrong.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise CacheError(f"{file} has more than {LARGEST} bytes: no provenance of a table")
        raw = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("mdbound_table") != VERSION:
            raise CacheError(f"{file} does not say mdbound_table {VERSION}: write the table again")
        return Origin(
            _text(raw["caption"]),
            tuple(_text(each) for each in raw["notes"]),
            _digests(raw["results"]),
            _digests(raw["files"]),
        )
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CacheError(f"{file} is no provenance of a table ({error})") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _digests(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} names no files")
    for name in value:
        if not name or Path(name).name != name:
            raise ValueError(f"{name!r} is no name of a file beside it")
    return {name: _text(digest) for name, digest in value.items()}
