"""Files that are either whole or absent: a temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from mdbound.errors import CacheError, MdboundError, OutputError

TEMPORARY_SUFFIX = ".partial"


def temporary_name(path: Path) -> Path:
    """Where the content of `path` is collected before it is published."""
    return path.with_name(path.name + TEMPORARY_SUFFIX)


def publish(path: Path) -> None:
    """Give the finished temporary file of `path` its real name, durably.

    Raises:
        OSError: the disk refused the data.
    """
    temporary = temporary_name(path)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, then move it into place in one step.

    Args:
        path: The final name. Folders above it are made.

    Yields:
        The temporary path to write to, in the same folder.

    Raises:
        OutputError: The disk is full or the folder cannot be written; `path` is as it was.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("done")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        yield temporary
        publish(path)
    except MdboundError:
        raise
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`; after a crash either the old or the new content is there.

    Raises:
        OutputError: the disk is full or the folder cannot be written; the old content stays.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def output_error(path: Path, error: OSError) -> OutputError:
    """The one-line error for a write that failed."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutputError(
            f"disk full while writing {path}; free some space and run the same command again: "
            "finished shards are kept"
        )
    return OutputError(f"cannot write {path}: {error.strerror or error}; check the folder")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents unless they exist.

    Raises:
        OutputError: the file system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def only_writer(cache: Path) -> Iterator[None]:
    """Keep other processes from writing to `cache` while the block runs.

    The lock goes with the process, so that a kill leaves none behind. Where the system has no
    such locks, nothing is kept out.

    Raises:
        CacheError: another process is writing.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    descriptor = os.open(cache, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folders
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CacheError(
                    f"another process is writing to {cache}; wait for it, then run again"
                ) from error
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(cache: Path) -> None:
    """Delete temporary files that a killed run left in `cache`."""
    for leftover in cache.glob(f"**/*{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # Without this the rename itself may be lost on a power cut. Not possible on Windows.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
