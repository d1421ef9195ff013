"""A `.gguf` file is read once, however often transformers asks for it.

Transformers reads such a file twice for the tokenizer and once more for the weights, and makes the
table of tensor names for every module of the network. On the file of a model of 135 million
parameters that is half of the time that loading takes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mdbound.errors import MissingDependencyError

#: Files kept open: those of a target and a draft. What they say about their vocabulary takes a
#: hundred megabytes, so they are let go once weights are loaded.
_KEPT = 2


def gguf_reader(path: Path) -> Any:
    """The `gguf.GGUFReader` of a file, the same one until the file changes.

    Raises:
        MissingDependencyError: the gguf package is not installed.
        ValueError: it is no such file.
    """
    status = path.stat()
    return _reader(path, (status.st_mtime_ns, status.st_size))


def forget_readers() -> None:
    """Let go of the files that were read."""
    _reader.cache_clear()


@contextmanager
def one_reading() -> Iterator[None]:
    """While this is open, transformers gets its readers from `gguf_reader`."""
    gguf = _gguf()
    plain = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader = lambda path, *_: gguf_reader(Path(path))
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = plain


@functools.lru_cache(maxsize=_KEPT)
def _reader(path: Path, _version: tuple[int, int]) -> Any:
    return _plain_reader()(path)


@functools.cache
def _plain_reader() -> type[Any]:
    import numpy as np

    _gguf()
    from gguf.gguf_reader import GGUFReader  # the class itself, also while `one_reading` is open

    class PlainReader(GGUFReader):
        """Slices the file as an array: slices of a memory map take three times as long."""

        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = mapped.view(np.ndarray)

    return PlainReader


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingDependencyError(
            "reading .gguf files needs gguf; pip install 'mdbound[capture]'"
        ) from error
    return gguf
