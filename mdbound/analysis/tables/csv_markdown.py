"""Tables as CSV, which holds nothing but the numbers, and as Markdown, notes below."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from mdbound.analysis.tables.table import Interval, Table


def to_csv(table: Table) -> str:
    """Write a table as CSV: mean, low and high per value column.

    `polars.read_csv` and `pandas.read_csv` read it as it stands; caption and notes are in the JSON
    file beside it.

    Example:
        >>> from mdbound.analysis.tables.table import Interval
        >>> row = (("qa",), (Interval(0.5, 0.4, 0.6),))
        >>> table = Table("Mean.", ("task",), ("n = 1",), (row,), ())
        >>> print(to_csv(table), end="")
        task,n = 1,n = 1 low,n = 1 high
        qa,0.5,0.4,0.6
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spread = [f"{name}{end}" for name in table.values for end in ("", " low", " high")]
    writer.writerow([*table.labels, *spread])
    for labels, cells in table.rows:
        numbers = [number for cell in cells for number in (cell.mean, cell.low, cell.high)]
        writer.writerow(
            [*labels, *("" if number is None else repr(float(number)) for number in numbers)]
        )
    return text.getvalue()


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


def _one_line(text: str) -> str:
    return " ".join(text.split())
