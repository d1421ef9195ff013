"""The demonstration: capture, solve and report the bundled tiny pair on text it never saw."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.provenance import provenance_of
from mdbound.analysis.solving.results import merge_parts, open_results
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.solve_cache import (
    ProgressCallback,
    SolveProgress,
    SolveSummary,
    solve_cache,
    summarise,
)
from mdbound.analysis.statistics.task_means import task_means
from mdbound.analysis.tables.files import rounded
from mdbound.analysis.tables.table import Table, acceptance_table
from mdbound.logits_cache.capturing.capture import capture
from mdbound.logits_cache.capturing.progress import CaptureProgress, CaptureSummary
from mdbound.logits_cache.capturing.settings import CaptureSettings
from mdbound.logits_cache.store.cache import LogitsCache

#: Sections of the Python reference that the tiny pair was not trained on: more than twenty, so
#: that the intervals mean something.
HELD_OUT_TEXT = "python-docs:held-out"

#: First positions of each section: more of them narrow the intervals and take longer. Eight
#: independent drafts take most of the time, about 40 ms a position on two cores.
POSITIONS_PER_DOCUMENT = 32

#: One draft per temperature under the independent law. The target's own comes first, so that
#: n = 1 is the same problem under every law.
INDEPENDENT_TEMPERATURES = (1.0, 0.8, 1.2, 0.9, 1.1, 1.3, 1.4, 1.5)


@dataclass(frozen=True)
class DemoFolder:
    """Where the demonstration puts things.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def capture(self) -> Path:
        """The logits cache."""
        return self.path / "capture"

    @property
    def results(self) -> Path:
        """The results file."""
        return self.path / "results.parquet"

    def of_law(self, law: str) -> Path:
        """Results of one draft law, until those of all are joined."""
        return self.path / "laws" / f"{law}.parquet"

    @property
    def report(self) -> Path:
        """The tables."""
        return self.path / "report"


def capture_tiny_pair(
    folder: DemoFolder, on_progress: Callable[[CaptureProgress], None] | None = None
) -> CaptureSummary:
    """Record the logits of the tiny pair on held-out text; a second run changes nothing.

    Raises:
        InvalidSettingError: The folder holds a capture with other settings.
        MissingDependencyError: The capture extra is not installed.
        OutputError: The disk is full or cannot be written.
    """
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(HELD_OUT_TEXT,),
        out=folder.capture,
        max_positions=POSITIONS_PER_DOCUMENT,
    )
    return capture(settings, on_progress)


def solve_tiny_pair(
    folder: DemoFolder,
    command: str = "",
    on_progress: ProgressCallback | None = None,
    on_law: Callable[[Table], None] | None = None,
) -> SolveSummary:
    """Solve the capture for all four laws, one after the other; a second run changes nothing.

    Args:
        folder: Where the capture is, and the results will be.
        command: Command line, kept in the file's metadata.
        on_progress: Called after each batch, with positions times laws.
        on_law: Called with the table of each law as soon as it is solved.

    Raises:
        InvalidSettingError: The folder holds results of other settings or another version.
        OutputError: The disk is full or cannot be written.
    """
    cache = LogitsCache.open(folder.capture)
    settings = demo_settings(cache.draft_names)
    if folder.results.exists():
        solve_cache(cache, settings, folder.results)  # refused, if it is of another run
    for index, setting in enumerate(settings):
        solved = folder.results
        if not solved.exists():
            solved = folder.of_law(setting.sampling)
            counted = _among(on_progress, index, len(settings))
            solve_cache(cache, [setting], solved, command=command, on_progress=counted)
        if on_law is not None:
            on_law(_law_table(solved, setting.sampling))
    if not folder.results.exists():
        parts = [folder.of_law(setting.sampling) for setting in settings]
        provenance = provenance_of(cache, settings, Selection(), command)
        merge_parts(parts, folder.results, provenance)
    shutil.rmtree(folder.of_law("").parent, ignore_errors=True)
    return summarise(folder.results, cache.num_positions, resumed=0)


def _among(on_progress: ProgressCallback | None, index: int, runs: int) -> ProgressCallback | None:
    """Progress of one of several runs over the same positions as that of them all."""
    if on_progress is None:
        return None

    def counted(step: SolveProgress) -> None:
        before = index * step.total
        on_progress(SolveProgress(before + step.done, runs * step.total, before + step.new))

    return counted


def _law_table(results: Path, law: str) -> Table:
    frame = open_results(results).frame.filter(pl.col("sampling") == law)
    return acceptance_table(rounded(task_means(frame)))


def demo_settings(drafts: tuple[str, ...]) -> tuple[SolveSetting, ...]:
    """All four laws at temperature 1: identical drafts, and one draft per temperature.

    Example:
        >>> [setting.sampling for setting in demo_settings(("tiny",))]
        ['with_replacement', 'without_replacement', 'greedy', 'independent']
    """
    identical = SolveGrid(sampling=("with_replacement", "without_replacement", "greedy"))
    spread = SolveGrid(
        sampling=("independent",), draft_temperatures=INDEPENDENT_TEMPERATURES, drafts=drafts[:1]
    )
    return identical.settings(drafts[:1]) + spread.settings(drafts)
