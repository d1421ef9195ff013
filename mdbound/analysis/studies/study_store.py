"""What a study has solved so far, in pieces, and what is missing."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from mdbound.analysis.solving.results import (
    RESULT_SCHEMA,
    Provenance,
    Results,
    open_results,
    write_results,
)
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.solving.setting import SolveSetting


@dataclass(frozen=True)
class Work:
    """Settings that are missing for the same tasks: one pass over their positions solves them.

    Attributes:
        tasks: The tasks.
        settings: What to solve for.
    """

    tasks: tuple[str, ...]
    settings: tuple[SolveSetting, ...]


@dataclass(frozen=True)
class StudyStore:
    """Results files of a study, each of some settings on some tasks.

    Attributes:
        folder: Where they are.
        version: mdbound version whose results count.
        capture_identity: Capture whose results count.
        tasks: Tasks of the study, in the capture's order.
        limit_per_task: Documents of each task, or None for all.
    """

    folder: Path
    version: str
    capture_identity: str
    tasks: tuple[str, ...]
    limit_per_task: int | None

    def missing(self, settings: Sequence[SolveSetting]) -> tuple[Work, ...]:
        """Say what is left to solve; settings keep only the n that are missing."""
        solved = self._solved()
        tasks_of: dict[tuple[SolveSetting, ...], list[str]] = defaultdict(list)
        for task in self.tasks:
            wanted = tuple(
                replace(each, num_drafts=left)
                for each in settings
                if (
                    left := tuple(n for n in each.num_drafts if (task, _key(each), n) not in solved)
                )
            )
            if wanted:
                tasks_of[wanted].append(task)
        return tuple(Work(tuple(tasks), wanted) for wanted, tasks in tasks_of.items())

    def path_for(self, work: Work) -> Path:
        """File of a piece of work: the same work gets the same name, so that it can be resumed."""
        content = json.dumps(
            [
                *(self.version, self.capture_identity, self.limit_per_task, work.tasks),
                *(each.as_dict() for each in work.settings),
            ]
        )
        return self.folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.parquet"

    def selection_of(self, work: Work) -> Selection:
        """Positions of a piece of work."""
        return Selection(work.tasks, self.limit_per_task)

    def merge(self, settings: Sequence[SolveSetting], out: Path, provenance: Provenance) -> None:
        """Write all rows of the settings as one file, whatever the order they were solved in.

        Args:
            settings: Settings that are all solved.
            out: The results file: by setting, task, position and n.
            provenance: Goes into its metadata, with commits and versions of the pieces.

        Raises:
            OutputError: The file cannot be written.
        """
        solved = self._solved()
        pieces = {piece.path: piece.provenance.environment for piece in solved.values()}
        merged = replace(provenance, environment=united(list(pieces.values())))
        write_results(self._tables(settings, solved), out, merged)

    def _tables(
        self, settings: Sequence[SolveSetting], solved: dict[tuple[str, str, int], Results]
    ) -> Iterator[pa.Table]:
        """Rows of one setting after the other, so that one is in memory at a time."""
        for setting in settings:
            numbers: dict[tuple[Path, str], list[int]] = defaultdict(list)
            for task in self.tasks:
                for n in setting.num_drafts:
                    numbers[solved[task, _key(setting), n].path, task].append(n)
            rows = pl.concat(
                _rows(open_results(path), setting, wanted)
                for path, wanted in _by_path(numbers).items()
            )
            yield _in_order(rows.collect(), self.tasks).to_arrow()

    def _solved(self) -> dict[tuple[str, str, int], Results]:
        """Task, setting and n of every row in the store, with the file that holds it."""
        found: dict[tuple[str, str, int], Results] = {}
        for path in sorted(self.folder.glob("*.parquet")):
            piece = open_results(path)
            if not self._counts(piece.provenance):
                continue
            for setting in piece.provenance.settings:
                for task in piece.provenance.selection.get("tasks", self.tasks):
                    for n in setting["num_drafts"]:
                        found.setdefault((task, _key_of(setting), n), piece)
        return found

    def _counts(self, provenance: Provenance) -> bool:
        return (
            provenance.version == self.version
            and provenance.capture_identity == self.capture_identity
            and provenance.selection.get("limit_per_task") == self.limit_per_task
        )


def _by_path(numbers: dict[tuple[Path, str], list[int]]) -> dict[Path, dict[str, list[int]]]:
    """Path to task to n."""
    grouped: dict[Path, dict[str, list[int]]] = defaultdict(dict)
    for (path, task), values in numbers.items():
        grouped[path][task] = values
    return grouped


def _rows(piece: Results, setting: SolveSetting, wanted: dict[str, list[int]]) -> pl.LazyFrame:
    """Rows of a setting in a piece: of each task, the n wanted."""
    same = [
        pl.col(name).eq_missing(pl.lit(value, RESULT_SCHEMA[name]))
        for name, value in setting.columns().items()
    ]
    any_task = pl.any_horizontal(
        (pl.col("task") == task) & pl.col("num_drafts").is_in(numbers)
        for task, numbers in wanted.items()
    )
    return piece.frame.filter(any_task, *same)


def _in_order(rows: pl.DataFrame, tasks: Sequence[str]) -> pl.DataFrame:
    """By task, positions in their order in the capture, and n ascending within each."""
    position = ["task", "doc_id", "position"]
    # Every piece has the capture's order within a task.
    places = rows.select(position).unique(maintain_order=True).with_row_index("place")
    return (
        rows.join(places, on=position, how="left")
        .with_columns(pl.col("task").replace_strict(list(tasks), range(len(tasks))).alias("rank"))
        .sort("rank", "place", "num_drafts")
        .drop("place", "rank")
    )


def _key(setting: SolveSetting) -> str:
    return _key_of(setting.as_dict())


def _key_of(setting: dict[str, Any]) -> str:
    """What tells settings apart whose rows can stand together.

    All n, unless the rate is estimated: then the draws depend on which n are solved at once.
    """
    estimated = "seed" in setting["scheme_options"]
    kept = {key: value for key, value in setting.items() if estimated or key != "num_drafts"}
    return json.dumps(kept, sort_keys=True)


def united(environments: list[dict[str, str]]) -> dict[str, str]:
    """Values of all environments under their names: one, or several that differ."""
    names = dict.fromkeys(name for each in environments for name in each)
    return {
        name: ", ".join(dict.fromkeys(each[name] for each in environments if name in each))
        for name in names
    }
