"""Transformers without its own progress bars and log lines."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from mdbound.errors import MissingDependencyError


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
