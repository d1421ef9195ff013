"""A study of tokens per call: what to compute, on which capture, and the tables to make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.path_tables import GROUP, PATH_VALUES
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.errors import refuse_unknown

#: Columns of the results that a table can be restricted by, and run across but for the task.
_COLUMNS = ("task", *GROUP, "draft_length")


@dataclass(frozen=True)
class PathTableSpec:
    """A table of a study of tokens per call.

    Attributes:
        name: File name without ending.
        value: What the cells are, one of `PATH_VALUES`.
        across: Column of the results whose values are the columns; the others make the rows.
        caption: First words of the caption; empty takes those of the value.
        label: To refer to the table by in LaTeX; empty makes one of the study's and table's name.
        where: Column of the results to the values kept, such as `{"task": ("all",)}`.

    Example:
        >>> PathTableSpec("by-temperature", across="draft_temperature").value
        'tokens_per_call'
    """

    name: str
    value: str = "tokens_per_call"
    across: str = "draft_length"
    caption: str = ""
    label: str = ""
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown([self.value], PATH_VALUES, f"table {self.name!r}: value")
        refuse_unknown([self.across], _COLUMNS[1:], f"table {self.name!r}: across")
        refuse_unknown(self.where, _COLUMNS, f"table {self.name!r}: where")


@dataclass(frozen=True)
class PathStudy:
    """What `mdbound sweep` needs of a study of tokens per call.

    Attributes:
        name: Goes into labels and under tables.
        capture: The logits cache.
        out: Folder of everything the study makes.
        grid: What to compute.
        bootstrap: How intervals are made.
        tables: Tables to write; empty takes one of each value that the results have.
        batch_rows: Positions held in memory at a time; does not change any result.
    """

    name: str
    capture: Path
    out: Path
    grid: PathGrid = field(default_factory=PathGrid)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    tables: tuple[PathTableSpec, ...] = ()
    batch_rows: int = 64

    def as_dict(self) -> dict[str, Any]:
        """Return what decides the results as JSON-ready values: all but folders and batches.

        Example:
            >>> sorted(PathStudy("s", Path("c"), Path("o")).as_dict())
            ['bootstrap', 'command', 'grid', 'name', 'tables']
        """
        values = asdict(self)
        for name in ("capture", "out", "batch_rows"):
            del values[name]
        return {"command": "paths", **values}
