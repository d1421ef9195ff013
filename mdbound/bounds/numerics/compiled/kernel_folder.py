"""A folder for compiled kernels where neither the package nor the user's home can be written to."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numba


@contextlib.contextmanager
def own_kernel_folder() -> Iterator[Path | None]:
    """Have numba keep what it compiles in a folder of our own; None where there can be none.

    Numba itself knows the folder of the sources and the user's cache, and refuses to load a
    kernel when it can write to neither, as on a read-only installation without a home.
    """
    folder = _private_folder()
    if folder is None:
        yield None
        return
    options = vars(numba.config)
    before = options["CACHE_DIR"]
    options["CACHE_DIR"] = str(folder)
    try:
        yield folder
    finally:
        options["CACHE_DIR"] = before


def _private_folder() -> Path | None:
    """A folder among the temporary files that this user alone can write to.

    What lies in it is run, so one that somebody else made is not taken.
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    try:
        folder = Path(tempfile.gettempdir()) / f"mdbound-kernels-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    # Where users have no numbers, temporary files are each user's own.
    private = user is None or (found.st_uid == user and not found.st_mode & 0o022)
    return folder if private else None
