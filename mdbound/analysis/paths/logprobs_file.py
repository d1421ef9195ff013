"""Log-probabilities of texts as any server gives them: a JSON object a line, no capture needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mdbound.analysis.paths.path_results import LAW_COLUMNS
from mdbound.analysis.paths.texts import Floats, ScoredText
from mdbound.errors import TextSourceError
from mdbound.paths import FINISH_REASONS

#: Longest line that is read, in bytes: 64 MiB are over a million tokens.
LONGEST_LINE = 64 * 2**20

_VALUES = ("target_logprobs", "draft_logprobs")
_KEYS = frozenset({"id", "task", "finish_reason", *_VALUES})
_SHAPE = (
    'give {"id": ..., "target_logprobs": [...], "draft_logprobs": [...], "finish_reason": "stop" '
    'or "length"} a line'
)


def read_logprobs(path: Path | str) -> Iterator[ScoredText]:
    """Read texts one after the other; memory holds one line.

    Args:
        path: A file with a JSON object a line: `target_logprobs` and `draft_logprobs`, natural
            logarithms of the same tokens' probabilities (null in `draft_logprobs`: the draft cannot
            give the token), and, if they are known, `id`, `task` and `finish_reason`. A text that
            does not say how it ended is taken for one that its limit cut.

    Raises:
        TextSourceError: The file cannot be read, or a line is no such object; names the line.
    """
    path = Path(path)
    empty = dict.fromkeys(LAW_COLUMNS)
    seen: set[str] = set()
    for number, line in _lines(path):
        values = _object(line, path, number)
        doc_id = str(values.get("id", number))
        if doc_id in seen:
            raise _refused(path, number, f"id {doc_id!r} stands twice; give each text its own")
        seen.add(doc_id)
        target, draft = (_numbers(values, name, path, number) for name in _VALUES)
        if len(target) != len(draft):
            raise _refused(
                path,
                number,
                f"{len(target)} target_logprobs and {len(draft)} draft_logprobs; give one of each "
                "for every token",
            )
        reason = values.get("finish_reason", "length")
        if reason not in FINISH_REASONS:
            raise _refused(
                path, number, f"finish_reason {reason!r}; give {' or '.join(FINISH_REASONS)}"
            )
        task = values.get("task", "text")
        if not isinstance(task, str):
            raise _refused(path, number, f"task {task!r}; give a name")
        yield ScoredText(doc_id, 0, task, reason, target, draft, empty)


def fingerprint(path: Path | str) -> str:
    """SHA-256 (hex) of a file.

    Raises:
        TextSourceError: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TextSourceError(f"{path} cannot be read ({error.strerror}); give a file") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise _refused(
                        path, number, f"longer than {LONGEST_LINE:,} bytes; cut the text"
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise TextSourceError(f"{path} cannot be read ({error.strerror}); give a file") from error


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise _refused(path, number, f"no JSON; {_SHAPE}") from None
    if not isinstance(values, dict):
        raise _refused(path, number, f"no object; {_SHAPE}")
    unknown = sorted(values.keys() - _KEYS)
    if unknown:
        raise _refused(path, number, f"unknown key {unknown[0]!r}; {_SHAPE}")
    return values


def _numbers(values: dict[str, Any], name: str, path: Path, number: int) -> Floats:
    given = values.get(name)
    if not isinstance(given, list):
        raise _refused(path, number, f"{name} is {'missing' if given is None else 'no list'}")
    never = -np.inf if name == "draft_logprobs" else None
    found = [never if one is None else one for one in given]
    for place, one in enumerate(found):
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise _refused(path, number, f"{name} at position {place} is {one!r}; give a number")
    return np.array(found, dtype=np.float64)


def _refused(path: Path, number: int, why: str) -> TextSourceError:
    return TextSourceError(f"{path}, line {number}: {why}")
