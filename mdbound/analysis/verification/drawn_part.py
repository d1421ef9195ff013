"""What comes before the checks of a file: is it of this capture, and which part of it is drawn."""

from __future__ import annotations

import numpy as np

from mdbound.analysis.solving.results import Results
from mdbound.bounds.problem.array_types import IntArray
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache


def refuse_no_draw(count: int | None) -> None:
    """Refuse to draw nothing, which would pass whatever the file holds.

    Raises:
        InvalidSettingError: `count` is below 1.

    Example:
        >>> refuse_no_draw(1), refuse_no_draw(None)
        (None, None)
    """
    if count is not None and count < 1:
        raise InvalidSettingError(f"`rows` {count}: give at least 1")


def refuse_another_capture(results: Results, cache: LogitsCache) -> None:
    """Refuse results that were not made from a capture.

    Raises:
        InvalidSettingError: They are of another one.
    """
    if results.provenance.capture_identity != cache.manifest.identity():
        raise InvalidSettingError(
            f"{results.path} was made from another capture than {cache.path}; give the one that "
            "its command names"
        )


def drawn_places(total: int, count: int | None, seed: int) -> IntArray:
    """Places to check, ascending: some at random, or all.

    Args:
        total: How many there are.
        count: How many to draw; None for all.
        seed: Seed of the draw.

    Example:
        >>> drawn_places(3, None, 0).tolist(), len(drawn_places(100, 5, 0))
        ([0, 1, 2], 5)
    """
    if count is None or count >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])
