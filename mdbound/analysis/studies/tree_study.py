"""A study of draft trees: what verifiers accept of a capture's trees, and the tables of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mdbound.analysis.solving.results import Results
from mdbound.analysis.solving.solve_cache import ProgressCallback
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.table import Table
from mdbound.analysis.trees.run_trees import run_on_trees
from mdbound.analysis.trees.tree_grid import TreeGrid
from mdbound.analysis.trees.tree_results import open_trees
from mdbound.analysis.trees.tree_tables import write_tree_report
from mdbound.logits_cache.store.cache import LogitsCache


@dataclass(frozen=True)
class TreeStudy:
    """What `mdbound sweep` needs of a study of draft trees.

    Attributes:
        name: Goes into the tables' notes.
        capture: The logits cache, with drafted trees or paths.
        out: Folder of everything the study makes.
        grid: What to compute.
        bootstrap: How intervals are made.
    """

    name: str
    capture: Path
    out: Path
    grid: TreeGrid = field(default_factory=TreeGrid)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)


@dataclass(frozen=True)
class TreeStudyRun:
    """What a study of draft trees left behind.

    Attributes:
        study: What was asked for.
        results: Rows as `mdbound trees` writes them.
        tables: Expected lengths.
        files: Every file of the study.
        settings: Drafts of the study, whose trees all have the same settings.
        solved: Of these, what this run had to compute.
    """

    study: TreeStudy
    results: Results
    tables: tuple[Table, ...]
    files: tuple[Path, ...]
    settings: int
    solved: int


def run_tree_study(
    study: TreeStudy, *, command: str = "", on_progress: ProgressCallback | None = None
) -> TreeStudyRun:
    """Compute what is missing and write everything; a second run changes no byte.

    `study.out` then holds `trees.parquet` (every row) and the tables of `mdbound report`. An
    interrupted run goes on where it stopped.

    Args:
        study: What to run.
        command: Command line, kept with the results.
        on_progress: Called after each context.

    Raises:
        InvalidSettingError: The capture has no such trees, or the folder holds another study's.
        CacheError: The capture is unfinished or damaged.
        OutputError: The disk is full or cannot be written; what was finished is kept.
    """
    file = study.out / "trees.parquet"
    finished = file.exists()
    run_on_trees(
        LogitsCache.open(study.capture),
        study.grid,
        file,
        command=command,
        on_progress=on_progress,
    )
    results = open_trees(file)
    notes = (f"Study {study.name}.",)
    report = write_tree_report(results, study.out, bootstrap=study.bootstrap, notes=notes)
    drafts = len(results.provenance.settings)
    solved = 0 if finished else drafts
    return TreeStudyRun(study, results, (report.table,), (file, *report.files), drafts, solved)
