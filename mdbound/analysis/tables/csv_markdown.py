"""Tables as CSV and Markdown text; every one carries its notes. LaTeX is in `latex`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import polars as pl

from mdbound.analysis.tables.table import Interval, Table


def to_csv(table: Table) -> str:
    """Write a table as CSV: mean, low and high per value column; notes as `#` lines on top.

    Example:
        >>> from mdbound.analysis.tables.table import Interval
        >>> row = (("qa",), (Interval(0.5, 0.4, 0.6),))
        >>> table = Table("Mean.", ("task",), ("n = 1",), (row,), ())
        >>> print(to_csv(table), end="")
        # Mean.
        task,n = 1,n = 1 low,n = 1 high
        qa,0.5,0.4,0.6
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spread = [f"{name}{end}" for name in table.values for end in ("", " low", " high")]
    writer.writerow([*table.labels, *spread])
    for labels, cells in table.rows:
        numbers = [number for cell in cells for number in (cell.mean, cell.low, cell.high)]
        writer.writerow([*labels, *("" if number is None else repr(number) for number in numbers)])
    return _commented("#", (table.caption, *table.notes)) + text.getvalue()


def frame_to_csv(frame: pl.DataFrame, notes: Sequence[str]) -> str:
    """Write a whole frame as CSV with its notes as `#` lines on top.

    Read it back with `polars.read_csv(path, comment_prefix="#")` or
    `pandas.read_csv(path, comment="#")`.

    Example:
        >>> print(frame_to_csv(pl.DataFrame({"n": [1]}), ["seed 0"]), end="")
        # seed 0
        n
        1
    """
    return _commented("#", notes) + frame.write_csv()


def to_markdown(table: Table) -> str:
    r"""Write a table as GitHub Markdown, caption above and notes below.

    Example:
        >>> from mdbound.analysis.tables.table import Interval
        >>> row = (("a|b",), (Interval(0.5),))
        >>> table = Table("Mean.", ("task",), ("n = 1",), (row,), ("Few.",))
        >>> print(to_markdown(table), end="")
        Mean.
        <BLANKLINE>
        | task | n = 1 |
        |:---|---:|
        | a\|b | 0.500 |
        <BLANKLINE>
        - Few.
    """
    lines = [
        escape_markdown(table.caption),
        "",
        _markdown_row([*table.labels, *table.values]),
        "|" + ":---|" * len(table.labels) + "---:|" * len(table.values),
    ]
    for labels, cells in table.rows:
        lines.append(
            "| " + " | ".join([*map(escape_markdown, labels), *map(_marked, cells)]) + " |"
        )
    lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    r"""Escape what would end a Markdown table cell or start HTML.

    Example:
        >>> escape_markdown("1.2|2.0 <b>")
        '1.2\\|2.0 &lt;b>'
    """
    escaped = _one_line(text).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _marked(cell: Interval) -> str:
    """A number in bold when it is the best of its block, underlined when second best."""
    mean = {1: f"**{cell.mean_text}**", 2: f"<ins>{cell.mean_text}</ins>"}.get(
        cell.rank or 0, cell.mean_text
    )
    return f"{mean} {cell.range_text}".strip()


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def _commented(mark: str, lines: Sequence[str]) -> str:
    return "".join(f"{mark} {_one_line(line)}\n" for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())
