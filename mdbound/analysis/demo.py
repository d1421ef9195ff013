"""The demonstration: capture, solve and report the bundled tiny pair on text it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mdbound.analysis.progress import progress_bar
from mdbound.analysis.report import Report, write_report
from mdbound.analysis.settings import SolveGrid, SolveSetting
from mdbound.analysis.solve import SolveSummary, solve_cache
from mdbound.logits_cache.capture import capture
from mdbound.logits_cache.capture_settings import CaptureSettings
from mdbound.logits_cache.progress import CaptureSummary, Progress
from mdbound.logits_cache.store import LogitsCache

#: Sections of the Python reference that the tiny pair was not trained on: more than twenty, so
#: that the intervals mean something.
HELD_OUT_TEXT = "python-docs:held-out"

#: First positions of each section. Enough for narrow intervals, few enough for a short demo.
POSITIONS_PER_DOCUMENT = 64

#: One draft per temperature under the independent law, the target's own among them.
INDEPENDENT_TEMPERATURES = (1.0, 0.8, 1.2, 1.5)


@dataclass(frozen=True)
class Demo:
    """What the demonstration made: a capture, its results, and a report."""

    captured: CaptureSummary
    solved: SolveSummary
    report: Report


def run_demo(out: Path | str, command: str = "") -> Demo:
    """Capture the tiny pair on held-out text, solve n = 1..8 for all laws, write a report.

    Run again, it goes on after an interruption, and does nothing twice.

    Args:
        out: Folder for `capture/`, `results.parquet` and `report/`.
        command: Command line, noted under the tables.

    Returns:
        What was made.

    Raises:
        InvalidSettingError: `out` holds a demo of another mdbound version.
        MissingDependencyError: The capture extra is not installed.
        OutputError: The disk is full or cannot be written.
    """
    out = Path(out)
    captured = _capture(out / "capture")
    cache = LogitsCache.open(out / "capture")
    settings = demo_settings(cache.draft_names)
    with progress_bar("solving", cache.num_positions) as advance:
        solved = solve_cache(
            cache, settings, out / "results.parquet", command=command, on_progress=advance
        )
    report = write_report(solved.path, out / "report", command=command)
    return Demo(captured, solved, report)


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


def _capture(folder: Path) -> CaptureSummary:
    settings = CaptureSettings(
        target="tiny:target",
        drafts=("tiny:draft",),
        text=(HELD_OUT_TEXT,),
        out=folder,
        max_positions=POSITIONS_PER_DOCUMENT,
    )
    with _capture_progress() as on_progress:
        return capture(settings, on_progress)


@contextmanager
def _capture_progress() -> Iterator[Callable[[Progress], None]]:
    """Feed the capture's own counts, of passages, to a bar that learns its total on the way."""
    with progress_bar("capturing", None, unit="passages") as advance:
        done = 0

        def on_progress(progress: Progress) -> None:
            nonlocal done
            advance(progress.passages - done, progress.total_passages)
            done = progress.passages

        yield on_progress
