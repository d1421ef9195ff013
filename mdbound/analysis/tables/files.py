"""Tables and frames on disk: one name, several formats, and nothing touched that is the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs

from mdbound.analysis.tables.csv_markdown import to_csv, to_markdown
from mdbound.analysis.tables.latex import standalone, tasks_to_latex, to_latex
from mdbound.analysis.tables.origin import origin_of
from mdbound.analysis.tables.table import Table
from mdbound.logits_cache.store.atomic_files import replacing


def write_table(table: Table, folder: Path, name: str, results: Sequence[Path] = ()) -> list[Path]:
    r"""Write a table as CSV, LaTeX and Markdown, and where it comes from as JSON.

    `name.tex` is a fragment to `\input`, `name-tasks.tex` has the rows of each task where the
    first has those of all, `name-standalone.tex` is a document of both.

    Args:
        table: What to write.
        folder: Where; made when missing.
        name: First part of the files' names.
        results: Files that it was made from.

    Returns:
        The files.

    Raises:
        OutputError: The folder cannot be written; files that were there stay.
    """
    texts = {f"{name}.csv": to_csv(table), f"{name}.tex": to_latex(table)}
    by_task = tasks_to_latex(table)
    if by_task is not None:
        texts[f"{name}-tasks.tex"] = by_task
    texts[f"{name}-standalone.tex"] = standalone([each for each in texts if each.endswith(".tex")])
    texts[f"{name}.md"] = to_markdown(table)
    files = [write_text(folder / file, text) for file, text in texts.items()]
    origin = origin_of(table.caption, table.notes, files, results)
    return [*files, write_text(folder / f"{name}.json", origin)]


def write_frame(
    frame: pl.DataFrame,
    folder: Path,
    name: str,
    notes: Sequence[str],
    results: Sequence[Path] = (),
) -> list[Path]:
    """Write `name.csv` and `name.parquet`, and where they come from as JSON.

    Returns:
        The files.

    Raises:
        OutputError: The folder cannot be written; files that were there stay.
    """
    parquet = folder / f"{name}.parquet"
    files = [write_text(folder / f"{name}.csv", frame.write_csv()), parquet]
    with replacing(parquet) as temporary:
        frame.write_parquet(temporary, metadata={"notes": "\n".join(notes)})
        _keep_if_same(parquet, temporary)
    caption, *below = notes or [""]
    origin = origin_of(caption, below, files, results)
    return [*files, write_text(folder / f"{name}.json", origin)]


def write_text(path: Path, text: str) -> Path:
    """Write a text file in one step, or leave it as it is when it already reads so.

    Returns:
        The path.

    Raises:
        OutputError: The folder cannot be written; the file that was there stays.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        _keep_if_same(path, temporary)
    return path


def rounded(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep 12 decimals: parallel sums differ in the last digits, and files must not.

    Ends of intervals keep 9: they come from matrix products, whose last digits depend on where
    arrays lie in memory, divided by small numbers. Columns called `largest_...` keep 12 digits
    instead: a maximum is the same in any order, and error bounds are smaller than what 12 decimals
    can show.

    Example:
        >>> rounded(pl.DataFrame({"mean": [-1e-16], "largest_error": [2.5e-16]})).row(0)
        (0.0, 2.5e-16)
    """
    floats = frame.select(cs.float()).columns
    largest = [name for name in floats if name.startswith("largest_")]
    return frame.with_columns(
        *(
            _without_minus_zero(name, 9 if name.endswith(("low", "high")) else 12)
            for name in floats
            if name not in largest
        ),
        pl.col(largest).round_sig_figs(12),
    )


def _without_minus_zero(name: str, decimals: int) -> pl.Expr:
    value = pl.col(name).round(decimals)
    return pl.when(value == 0.0).then(0.0).otherwise(value).alias(name)


def _keep_if_same(path: Path, temporary: Path) -> None:
    """Give the new file the times of the old one when both hold the same bytes."""
    if path.is_file() and path.read_bytes() == temporary.read_bytes():
        status = path.stat()
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
