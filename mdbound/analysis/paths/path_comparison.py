"""Rules against one of them: tokens per call as a ratio, with paired intervals over documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from mdbound.analysis.paths.call_sums import (
    Floats,
    calls_by_document,
    documents_of,
    resampled_documents,
)
from mdbound.analysis.paths.path_results import LAW_COLUMNS, RULE_COLUMNS
from mdbound.analysis.paths.path_tables import NAMES, PathReport, label_of, rule_title
from mdbound.analysis.solving.results import Results
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.files import write_table
from mdbound.analysis.tables.notes import interval_note, provenance_notes
from mdbound.analysis.tables.table import Interval, Row, Table
from mdbound.errors import InvalidSettingError

#: What rules are compared with: what everybody runs, and the best that one path can do.
BASELINES = ("single_draft", "block")


def compare_paths(
    results: Results,
    out: Path | str | None = None,
    *,
    bootstrap: Bootstrap | None = None,
    command: str = "",
) -> PathReport:
    """Tokens per call of every rule over those of the first of `BASELINES` that there is.

    Args:
        results: From `open_paths`.
        out: Folder for `comparison` as CSV, LaTeX and Markdown; None writes nothing.
        bootstrap: How intervals are made: documents are resampled, the same for both rules.
        command: Command line, noted under the table.

    Raises:
        InvalidSettingError: None of the baselines is there, or nothing beside it.
        OutputError: The folder cannot be written; files that were there stay.
    """
    how = bootstrap or Bootstrap()
    rows = results.frame.filter(pl.col("calls") > 0.0).collect()
    there = [name for name in BASELINES if (rows["scheme"] == name).any()]
    if not there or rows.select(RULE_COLUMNS).unique().height < 2:
        raise InvalidSettingError(
            f"{results.path} holds no two rules to compare; give `schemes` "
            f"{','.join(BASELINES)} and others"
        )
    notes = [interval_note(how), *provenance_notes(results.provenance, command)]
    table = _table(rows, there[0], how, notes)
    files = [] if out is None else write_table(table, Path(out), "comparison", [results.path])
    return PathReport(table, tuple(files))


def _table(rows: pl.DataFrame, baseline: str, how: Bootstrap, notes: Sequence[str]) -> Table:
    lengths = tuple(sorted(rows["draft_length"].unique()))
    varying = [name for name in LAW_COLUMNS if rows[name].n_unique() > 1]
    trees = [name for name in RULE_COLUMNS[1:] if rows[name].n_unique() > 1]
    labels = [*varying, "scheme", *trees]
    found: list[Row] = []
    for of_laws in rows.partition_by(LAW_COLUMNS, maintain_order=True):
        documents = documents_of(of_laws)
        drawn = resampled_documents(documents.height, how)
        base = calls_by_document(of_laws.filter(pl.col("scheme") == baseline), documents, lengths)
        for rule in of_laws.partition_by(RULE_COLUMNS, maintain_order=True):
            first = rule.row(0, named=True)
            if first["scheme"] == baseline:
                continue
            own = calls_by_document(rule, documents, lengths)
            cells = _ratios(own[1:], base[1:], drawn, how)
            found.append((tuple(label_of(name, first[name]) for name in labels), cells))
    return Table(
        caption=f"Tokens per target call over those of {rule_title(baseline)}, for each number L "
        "of drafted tokens.",
        labels=tuple(NAMES[name] for name in labels),
        values=tuple(f"L = {length}" for length in lengths),
        rows=tuple(found),
        notes=tuple(notes),
    )


def _ratios(
    own: tuple[Floats, Floats], base: tuple[Floats, Floats], drawn: Floats, how: Bootstrap
) -> tuple[Interval, ...]:
    """Ratio of tokens per call at every length, with its interval."""
    every = np.ones((1, len(own[0])))
    mean = _per_call(every, own)[0] / _per_call(every, base)[0]
    if len(own[0]) < 2:
        return tuple(Interval(_or_none(each)) for each in mean)
    resampled = _per_call(drawn, own) / _per_call(drawn, base)
    tail = (1.0 - how.confidence) / 2.0
    low, high = np.nanquantile(resampled, [tail, 1.0 - tail], axis=0)
    return tuple(
        Interval(_or_none(each), float(a), float(b))
        for each, a, b in zip(mean, low, high, strict=True)
    )


def _per_call(weights: Floats, sums: tuple[Floats, Floats]) -> Floats:
    tokens, calls = weights @ sums[0], weights @ sums[1]
    return np.divide(tokens, calls, out=np.full_like(calls, np.nan), where=calls > 0.0)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
