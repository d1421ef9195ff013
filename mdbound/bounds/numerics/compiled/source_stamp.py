"""What compiled code was made from: the file of a kernel and all files that it imports.

Code on disk may be used again only while none of them has changed. Their contents are taken when
the kernel's module is imported: then they are what is compiled, whatever is edited later while
the process runs.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).resolve().parents[3]
_IMPORT = re.compile(
    rb"^(?:from|import) +" + _PACKAGE.name.encode() + rb"((?:\.\w+)*)", re.MULTILINE
)


class _Source(NamedTuple):
    """A file's digest, and the files of the package that it imports at its outermost level."""

    digest: bytes
    imports: frozenset[Path]


@cache
def source_stamp(filename: str) -> str | None:
    """A digest of the file and of all that it imports from this package, directly or not.

    Args:
        filename: a Python file, of the package or not.

    Returns:
        The digest, or None where there is no such file to read.

    Example:
        >>> source_stamp(__file__) == source_stamp(__file__), source_stamp("<stdin>")
        (True, None)
    """
    first = Path(filename)
    if not first.is_file():
        return None
    found: dict[Path, bytes] = {}
    waiting = {first.resolve()}
    while waiting:
        path = waiting.pop()
        source = _source(path)
        found[path] = source.digest
        waiting |= source.imports - found.keys()
    # The kernel's own file comes first; the others by name, wherever the package lies.
    digests = [found.pop(first.resolve()), *(found[path] for path in sorted(found))]
    return blake2b(b"".join(digests), digest_size=16).hexdigest()


@cache
def _source(path: Path) -> _Source:
    """Read once, so that all stamps of a process speak of the same contents."""
    content = path.read_bytes()
    names = {name.decode() for name in _IMPORT.findall(content)}
    return _Source(
        blake2b(content, digest_size=16).digest(),
        frozenset(one for name in names for one in _files_of(name)),
    )


def _files_of(name: str) -> list[Path]:
    """The file of a module of the package, or all of a folder whose modules may be meant."""
    place = _PACKAGE.joinpath(*name.split(".")[1:])
    module = place.with_suffix(".py")
    return [module] if module.is_file() else sorted(place.glob("*.py"))
