"""The file of reference vectors: written as a whole, read in every version.

For authors of verification kernels: whatever a kernel does with a list of drafts, the law of its
output has to be the one listed. What stands in it: `mdbound.audit.vectors`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mdbound import bounds
from mdbound.analysis.solving.results import RENAMED_SCHEMES
from mdbound.analysis.tables.files import write_text
from mdbound.audit.vectors.document import (
    FORMAT_VERSION,
    RANDOM_PROBLEMS,
    reference_vectors,
    schema,
)
from mdbound.errors import CacheError
from mdbound.logits_cache.store.format_version import Format

REMAKE = "write them again"

#: Version 1 did not say how its distributions were warped: they were not. It called `nss` `naive`.
#: Version 2 had no `block_verification`; version 3 no `trees`, no edges, and of the law of the
#: output the drafted tokens alone.
VECTORS_FORMAT = Format("reference vectors", newest=FORMAT_VERSION, oldest=1, remake=REMAKE)


def write_reference_vectors(
    path: Path | str, seed: int = 0, random_problems: int = RANDOM_PROBLEMS
) -> Path:
    """Write `reference_vectors()` as JSON, an entry of its lists a line.

    Args:
        path: of the file.
        seed: as `reference_vectors`.
        random_problems: likewise.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written; a file that was there stays.
    """
    found = reference_vectors(seed, random_problems)
    return write_text(Path(path), f"{_text(found)}\n")


def write_vectors_schema(path: Path | str) -> Path:
    """Write the JSON Schema of reference vectors.

    Raises:
        OutputError: It cannot be written; a file that was there stays.
    """
    return write_text(Path(path), f"{json.dumps(schema(), indent=1)}\n")


def _text(vectors: dict[str, Any]) -> str:
    """JSON with a line for each entry of a list: differences of two files can be read."""
    parts = []
    for name, value in vectors.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list):
            text = "[\n  " + ",\n  ".join(json.dumps(each, allow_nan=False) for each in value)
            text += "\n ]"
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}"


def read_reference_vectors(path: Path | str) -> dict[str, Any]:
    """Read what `write_reference_vectors` wrote, by this version or an older one.

    Raises:
        CacheError: The file is missing, damaged, no vectors, or of another version of the format.
    """
    path = Path(path)
    try:
        vectors = json.loads(path.read_text(encoding="utf-8"))
        version = VECTORS_FORMAT.checked(vectors["format_version"], path)
        if version < 2:
            _fill_in(vectors)
        if version < 3:
            vectors["block_verification"] = []
        if version < 4:
            vectors["trees"] = []
    except FileNotFoundError as error:
        raise CacheError(f"{path}: no such file; write one with `mdbound vectors`") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CacheError(
            f"{path} holds no reference vectors ({error!r}); write them with `mdbound vectors`"
        ) from error
    return dict(vectors)


def _fill_in(vectors: dict[str, Any]) -> None:
    """Put into vectors of version 1 what they lack."""
    vectors["warpers"] = bounds.Warpers().as_dict()
    for problem in vectors["problems"]:
        for rate in problem["schemes"]:
            rate["scheme"] = RENAMED_SCHEMES.get(rate["scheme"], rate["scheme"])
