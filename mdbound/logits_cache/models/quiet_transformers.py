"""Transformers without its own progress bars and log lines."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from mdbound.errors import MissingDependencyError
from mdbound.logits_cache.models.gguf.one_reading import one_reading
from mdbound.logits_cache.models.model_files import ModelFiles


@contextlib.contextmanager
def quiet_transformers() -> Iterator[Any]:
    """Yield the transformers module, silent while it loads things; its errors still surface.

    Raises:
        MissingDependencyError: torch or transformers is not installed.
    """
    try:
        import torch  # noqa: F401  transformers imports without it, and fails later
        import transformers
    except ImportError as error:
        raise MissingDependencyError(
            f"running models needs {error.name}; pip install 'mdbound[capture]'"
        ) from error
    logging: Any = transformers.utils.logging  # untyped in an otherwise typed package
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # Some readers (GGUF) draw bars of their own, which no setting turns off.
    with contextlib.redirect_stderr(io.StringIO()):
        yield transformers


@contextlib.contextmanager
def quiet_loading(files: ModelFiles) -> Iterator[Any]:
    """As `quiet_transformers`; a `.gguf` file is read once over all such blocks.

    Raises:
        MissingDependencyError: torch, transformers or gguf is not installed.
    """
    with contextlib.ExitStack() as stack:
        transformers = stack.enter_context(quiet_transformers())
        if files.gguf is not None:
            stack.enter_context(one_reading())
        yield transformers
