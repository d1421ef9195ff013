"""A study: what to solve, on which capture, and the tables to make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import SETTING_COLUMNS
from mdbound.analysis.solving.scheme_settings import refuse_ambiguous_schemes
from mdbound.analysis.solving.selection import Selection
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.table import LABEL_NAMES, MEMBERSHIP, Measure
from mdbound.errors import refuse_unknown

#: What the cells of a study's table can be, and how the caption starts unless the study says so.
VALUES: Mapping[str, Measure] = {
    "acceptance": Measure(f"{MEMBERSHIP}; mean over positions"),
    "document_acceptance": Measure(
        f"{MEMBERSHIP}; mean of the means per document",
        *("document_mean", "document_low", "document_high"),
    ),
    "gap": Measure(
        "Gap: bound of the draft law minus rate of the scheme; mean over positions",
        *("gap", "gap_low", "gap_high"),
        best="min",
    ),
    "share": Measure(
        "Share of the possible gain over one draft that a scheme realises: (scheme - one draft) / "
        "(bound - one draft), means over positions",
        *("share", "share_low", "share_high"),
    ),
    "optimal": Measure(
        "Share of the positions where a scheme meets the bound, among those where its rate is "
        "exact",
        *("optimal", "optimal_low", "optimal_high"),
    ),
}

#: Values that compare schemes with bounds: rows of bounds have none.
SCHEME_VALUES = ("gap", "share", "optimal")

#: Columns of the results that a table can be restricted by.
_FILTERS = ("task", *SETTING_COLUMNS)


@dataclass(frozen=True)
class TableSpec:
    """A table of a study.

    Attributes:
        name: File name without ending.
        value: What the cells are, one of `VALUES`.
        across: Setting whose values are the columns; the other settings make the rows.
        caption: First words of the caption; empty takes those of the value.
        label: To refer to the table by in LaTeX; empty makes one of the study's and table's name.
        where: Column of the results to the values kept, such as `{"task": ("all",)}`.

    Example:
        >>> TableSpec("by-k", across="top_k").value
        'acceptance'
    """

    name: str
    value: str = "acceptance"
    across: str = "num_drafts"
    caption: str = ""
    label: str = ""
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown([self.value], VALUES, f"table {self.name!r}: value")
        across = [name for name in LABEL_NAMES if name != "task"]
        refuse_unknown([self.across], across, f"table {self.name!r}: across")
        refuse_unknown(self.where, _FILTERS, f"table {self.name!r}: where")
        refuse_ambiguous_schemes(self.where)


@dataclass(frozen=True)
class Study:
    """Everything `mdbound sweep` needs; read one from TOML with `study_file.read_study`.

    Attributes:
        name: Goes into labels and under tables.
        capture: The logits cache.
        out: Folder of everything the study makes.
        grid: What to solve for.
        selection: Tasks and documents of the capture.
        bootstrap: How intervals are made.
        tables: Tables to write; empty takes `default_tables`.
        batch_rows: Positions held in memory at a time; does not change any result.

    Example:
        >>> study = Study("law", Path("caches/tiny"), Path("law"), SolveGrid(num_drafts=(1, 2)))
        >>> [table.name for table in study.all_tables]
        ['acceptance', 'acceptance_by_document']
    """

    name: str
    capture: Path
    out: Path
    grid: SolveGrid = field(default_factory=SolveGrid)
    selection: Selection = field(default_factory=Selection)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    tables: tuple[TableSpec, ...] = ()
    batch_rows: int = 64

    @property
    def all_tables(self) -> tuple[TableSpec, ...]:
        """The tables asked for, or those that every study has."""
        return self.tables or default_tables(with_schemes=bool(self.grid.schemes))

    def as_dict(self) -> dict[str, Any]:
        """Return what decides the results as JSON-ready values: all but folders and batches."""
        values = asdict(self)
        for name in ("capture", "out", "batch_rows"):
            del values[name]
        return values


def default_tables(*, with_schemes: bool) -> tuple[TableSpec, ...]:
    """Acceptance over positions and over documents; with schemes, how far they are from the bound.

    Example:
        >>> [table.name for table in default_tables(with_schemes=True)][2:]
        ['gap', 'share', 'optimal']
    """
    tables = [
        TableSpec("acceptance"),
        TableSpec("acceptance_by_document", "document_acceptance"),
    ]
    return (*tables, *(TableSpec(value, value) for value in SCHEME_VALUES if with_schemes))
