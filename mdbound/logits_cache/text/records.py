"""Records of files: JSON lines, JSON, CSV and Parquet, told apart by name and read by content.

A file that is named as one of these is read as such or refused, never taken for plain text.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mdbound.errors import TextSourceError

#: Rows of a Parquet file that are in memory as Python values at a time.
_PARQUET_ROWS = 1024

#: Characters of a CSV field: the module's own limit, 128 KiB, is less than a long document, and it
#: takes no larger one than this on every machine.
_LONGEST_FIELD = 2**31 - 1

#: A record, and where it stands, for messages.
Located = tuple[str, Any]


def read_records(path: Path) -> Iterator[Located] | None:
    """Origin and value of each record of a file, or None if its name says that it is plain text.

    Raises:
        TextSourceError: while reading, naming the line or row: the content is not what the name
            says.
    """
    reader = _READERS.get(path.suffix.lower())
    return None if reader is None else reader(path)


def read_utf8(path: Path) -> str:
    """Text of a file, without a byte order mark; line ends become newlines.

    Raises:
        TextSourceError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextSourceError(f"{path} is not UTF-8 text ({error}); convert it first") from error
    except OSError as error:
        raise TextSourceError(f"cannot read {path} ({error.strerror}); check the file") from error


def _json_lines(path: Path) -> Iterator[Located]:
    # Not splitlines: it also splits at separators that JSON strings may hold unescaped.
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if line.strip():
            origin = f"{path}, line {number},"
            yield origin, _parsed(line, origin)


def _json(path: Path) -> Iterator[Located]:
    """A list of records, one record, or JSON lines under another name."""
    text = read_utf8(path)
    if not text.strip():
        return
    try:
        whole = _parsed(text, f"{path}")
    except TextSourceError:
        first = text.lstrip().split("\n", 1)[0]
        if not first.startswith("{") or _is_cut(first):
            raise
        yield from _json_lines(path)
        return
    if isinstance(whole, list) and not _is_conversation(whole):
        for number, value in enumerate(whole, start=1):
            yield f"{path}, record {number},", value
    else:
        yield f"{path}", whole


def _is_cut(line: str) -> bool:
    """Whether a line is no JSON by itself, so that the file does not hold JSON lines."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _is_conversation(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(each, dict) and is_message(each) for each in values)


def is_message(value: Mapping[str, Any]) -> bool:
    """Whether a record is one message of a conversation.

    >>> is_message({"role": "user", "content": "Why?"}), is_message({"text": "Why?"})
    (True, False)
    """
    return {"role", "content"} <= value.keys() or {"from", "value"} <= value.keys()


def _parsed(text: str, origin: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise TextSourceError(f"{origin} is not JSON ({error}); fix or remove it") from error
    except RecursionError as error:
        raise TextSourceError(
            f"{origin} is JSON nested too deeply to be read; fix or remove it"
        ) from error


def _separated(path: Path, delimiter: str) -> Iterator[Located]:
    read_utf8(path)  # refuses what is no text, in the same words as for any file
    csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter=delimiter, strict=True)
        try:
            for row in rows:
                origin = f"{path}, line {rows.line_num},"
                if None in row or None in row.values():
                    raise TextSourceError(
                        f"{origin} has not as many fields as the header; quote fields that hold "
                        "separators"
                    )
                yield origin, row
        except csv.Error as error:
            raise TextSourceError(
                f"{path}, line {rows.line_num}, is not CSV ({error}); fix or remove it"
            ) from error


def _comma_separated(path: Path) -> Iterator[Located]:
    return _separated(path, ",")


def _tab_separated(path: Path) -> Iterator[Located]:
    return _separated(path, "\t")


def _parquet(path: Path) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_PARQUET_ROWS):
                for row in batch.to_pylist():
                    yield f"{path}, row {number},", row
                    number += 1
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise TextSourceError(f"{path} is not Parquet ({reason}); fix or rename it") from error


#: Reader of each ending, in small letters.
_READERS: Mapping[str, Callable[[Path], Iterator[Located]]] = {
    ".csv": _comma_separated,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".tsv": _tab_separated,
}
