"""Counting and timing one run of a capture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import MassRecord


@dataclass(frozen=True)
class CaptureProgress:
    """How far a capture is.

    Attributes:
        passages: prompts or windows done, those of earlier runs included.
        total_passages: prompts or windows of the whole capture.
        new_positions: positions recorded by this run.
    """

    passages: int
    total_passages: int
    new_positions: int


@dataclass(frozen=True)
class CaptureSummary:
    """What a run of `capture` or `add_drafts` did.

    Attributes:
        cache: the folder.
        positions: positions in the cache.
        bytes_on_disk: size of the cache in bytes.
        new_positions: positions recorded by this run.
        seconds: time this run spent on them, loading of models left out.
        turns_left_out: later turns of conversations that had no room in the context, or came after
            `max_positions`; 0 while shards are missing.
        masses_outside: what target and drafts have on tokens that the other side lacks.
    """

    cache: Path
    positions: int
    bytes_on_disk: int
    new_positions: int
    seconds: float
    turns_left_out: int = 0
    masses_outside: tuple[MassRecord, ...] = ()


ProgressCallback = Callable[[CaptureProgress], None]


class CaptureRun:
    """Counts and clock of one run."""

    def __init__(self, cache: Path, total: int, on_progress: ProgressCallback | None) -> None:
        self.cache = cache
        self.total = total
        self.passages = 0
        self.new_positions = 0
        self._on_progress = on_progress
        self._started: float | None = None

    def start(self) -> None:
        """Start the clock: models are loaded."""
        self._started = time.perf_counter()
        self._report()

    def advance(self, passages: int, positions: int) -> None:
        """Count a batch."""
        self.passages += passages
        self.new_positions += positions
        self._report()

    def summary(self) -> CaptureSummary:
        """What the run did."""
        seconds = 0.0 if self._started is None else time.perf_counter() - self._started
        cache = LogitsCache.open(self.cache)
        return CaptureSummary(
            self.cache,
            cache.num_positions,
            cache.bytes_on_disk,
            self.new_positions,
            seconds,
            cache.manifest.turns_left_out,
            cache.manifest.masses_outside(),
        )

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(CaptureProgress(self.passages, self.total, self.new_positions))
