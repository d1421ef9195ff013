"""Checking tables against the results that they were made of.

- *digests*: the JSON beside each table names the very file of results, and the table's own files
  are the ones that were written with it.
- *tables*: the report made again from the results has the same files, cell by cell.
- *means*: pooled means of `solve` by exact sums of the rows, which share no code with the tables.
"""

from __future__ import annotations

import csv
import itertools
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mdbound.analysis.paths.path_results import holds_paths, open_paths
from mdbound.analysis.paths.path_tables import write_path_report
from mdbound.analysis.solving.results import SETTING_COLUMNS, open_results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.tables.origin import Origin, read_origin, sha256
from mdbound.analysis.tables.report import write_report
from mdbound.analysis.trees.tree_results import holds_trees, open_trees
from mdbound.analysis.trees.tree_tables import write_tree_report
from mdbound.analysis.verification.outcome import Record, Verification
from mdbound.errors import CacheError, InvalidSettingError

DIGESTS, TABLES, MEANS = "digests", "tables", "means"
CHECKS = (DIGESTS, TABLES, MEANS)

ROUNDED = 1.1e-12
"""Of a mean in a table, which keeps 12 decimals."""

_WRITTEN_BY = "Written by: "


def verify_tables(results: Path, folder: Path, bootstrap: Bootstrap) -> Verification:
    """Check a folder of tables; see the module for how.

    Args:
        results: Results that they were made of.
        folder: What `report` wrote; tables of `compare` and others are held to their digests.
        bootstrap: Resamples and seed of the report.

    Raises:
        InvalidSettingError: There are no tables in the folder.
        CacheError: Results or a JSON file are damaged.
    """
    record = Record(CHECKS)
    origins = dict(_origins(folder))
    if not origins:
        raise InvalidSettingError(
            f"{folder} holds no table with its provenance: give a folder that mdbound report wrote"
        )
    digest = sha256(results)
    for file, origin in origins.items():
        _check_digests(file, origin, results.name, digest, record)
    command = next(
        (
            note.removeprefix(_WRITTEN_BY)
            for origin in origins.values()
            for note in origin.notes
            if note.startswith(_WRITTEN_BY)
        ),
        "",
    )
    rows = 0
    with tempfile.TemporaryDirectory() as again:
        for file in _again(results, Path(again), bootstrap, command):
            rows += 1
            _check_file(folder / file.name, file, record)
    if not (holds_paths(results) or holds_trees(results)):
        _check_means(results, folder, record)
    return Verification(rows, record.checks, record.failures, rows)


def _origins(folder: Path) -> Iterator[tuple[Path, Origin]]:
    for file in sorted(folder.glob("*.json")):
        try:
            yield file, read_origin(file)
        except CacheError:
            if file.with_suffix(".csv").exists():
                raise  # the provenance of a table, and damaged


def _check_digests(file: Path, origin: Origin, name: str, digest: str, record: Record) -> None:
    summary = record.checks[DIGESTS]
    summary.rows += 1
    recorded = origin.results.get(name)
    if recorded is None and origin.results:
        record.skip(DIGESTS, f"made of other files than {name}")
    elif recorded != digest:
        record.contradict(file.name, DIGESTS, f"made of another {name}")
    for table, written in origin.files.items():
        summary.rows += 1
        path = file.parent / table
        if not path.is_file():
            record.contradict(table, DIGESTS, "missing")
        elif sha256(path) != written:
            record.contradict(table, DIGESTS, "changed since it was written")


def _again(results: Path, out: Path, how: Bootstrap, command: str) -> tuple[Path, ...]:
    """The report of a file of results, made again."""
    if holds_paths(results):
        return write_path_report(open_paths(results), out, bootstrap=how, command=command).files
    if holds_trees(results):
        return write_tree_report(open_trees(results), out, bootstrap=how, command=command).files
    return write_report(results, out, bootstrap=how, command=command).files


def _check_file(found: Path, right: Path, record: Record) -> None:
    record.checks[TABLES].rows += 1
    if not found.is_file():
        record.contradict(found.name, TABLES, "missing")
    elif found.read_bytes() != right.read_bytes():
        record.contradict(found.name, TABLES, _difference(found, right))


def _difference(found: Path, right: Path) -> str:
    """Where two files of a table differ first."""
    if found.suffix == ".parquet":
        return "other rows" if not _same_frames(found, right) else "other notes"
    try:
        texts = [path.read_text(encoding="utf-8").splitlines() for path in (found, right)]
    except UnicodeDecodeError:
        return "is no text"
    pairs = itertools.zip_longest(*texts, fillvalue="")
    line, (mine, wanted) = next(
        (number, pair) for number, pair in enumerate(pairs, start=1) if pair[0] != pair[1]
    )
    if found.suffix != ".csv":
        return f"line {line}"
    header, *_ = csv.reader(texts[1][:1])
    cells = itertools.zip_longest(*csv.reader([mine or " ", wanted or " "]), fillvalue="")
    for column, (value, expected) in zip(header, cells, strict=False):
        if value != expected:
            return f"line {line}, {column}: {value!r} where the results give {expected!r}"
    return f"line {line}"


def _same_frames(found: Path, right: Path) -> bool:
    try:
        return pl.read_parquet(found).equals(pl.read_parquet(right))
    except pl.exceptions.PolarsError:
        return False


def _check_means(results: Path, folder: Path, record: Record) -> None:
    """Every mean of `acceptance_long.csv` by an exact sum of its rows."""
    file = folder / "acceptance_long.csv"
    if not file.is_file():
        record.skip(MEANS, "there is no acceptance_long.csv")
        return
    groups: dict[tuple[str, ...], list[float]] = {}
    keys = [name for name in SETTING_COLUMNS if name not in ("num_drafts",)]
    columns = ["task", *keys, "num_drafts", "acceptance"]
    frame = open_results(results).frame.select(columns).filter(pl.col("acceptance").is_not_null())
    for task, *setting, value in frame.collect().iter_rows():
        shown = tuple("" if each is None else str(each) for each in setting)
        groups.setdefault((task, *shown), []).append(value)
        groups.setdefault((ALL_TASKS, *shown), []).append(value)
    with file.open(encoding="utf-8", newline="") as opened:
        for line, row in enumerate(csv.DictReader(opened), start=2):
            key = (row["task"], *(row[name] for name in (*keys, "num_drafts")))
            values = groups.get(key)
            name = f"{file.name}, line {line}"
            if values is None or not row["mean"]:
                if values is not None or row["mean"]:
                    record.contradict(name, MEANS, "mean")
                continue
            mean = math.fsum(values) / len(values)
            try:
                off = abs(float(row["mean"]) - mean)
            except ValueError:
                off = math.inf
            record.add(name, MEANS, "mean", off, ROUNDED)
