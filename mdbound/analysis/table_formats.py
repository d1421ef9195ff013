r"""Tables as CSV, LaTeX and Markdown text; every one carries its notes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import polars as pl

from mdbound.analysis.tables import Table

_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
}


def to_csv(table: Table) -> str:
    """Write a table as CSV: mean, low and high per value column; notes as `#` lines on top.

    Example:
        >>> from mdbound.analysis.tables import Interval
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
        >>> from mdbound.analysis.tables import Interval
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
    lines += [_markdown_row([*labels, *map(str, cells)]) for labels, cells in table.rows]
    lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    r"""Write a table as a LaTeX document that compiles as it stands.

    Needs only packages of every TeX distribution: booktabs, longtable, geometry. The
    part between the two `% table` lines can be pasted into a paper.

    Example:
        >>> from mdbound.analysis.tables import Interval
        >>> table = Table("Mean.", ("task",), ("n = 1",), ((("a_b",), (Interval(0.5),)),), ())
        >>> "a\\_b & 0.500" in to_latex(table)
        True
    """
    columns = "l" * len(table.labels) + "r" * len(table.values)
    header = " & ".join(
        [*map(escape_latex, table.labels), *(f"${escape_latex(name)}$" for name in table.values)]
    )
    page = "landscape,margin=15mm" if len(columns) > 9 else "margin=15mm"
    body = [
        _commented("%", (table.caption, *table.notes)).rstrip("\n"),
        r"\documentclass{article}",
        rf"\usepackage[{page}]{{geometry}}",
        r"\usepackage{booktabs}",
        r"\usepackage{longtable}",
        r"\begin{document}",
        "% table begins",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\LTcapwidth}{\textwidth}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{escape_latex(table.caption)}}}\\",
        r"\toprule",
        rf"{header} \\",
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        rf"{header} \\",
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endlastfoot",
        *_latex_rows(table),
        r"\end{longtable}",
        *(rf"\noindent {escape_latex(note)}\par" for note in table.notes),
        r"\endgroup",
        "% table ends",
        r"\end{document}",
    ]
    return "\n".join(body) + "\n"


def escape_latex(text: str) -> str:
    r"""Escape what LaTeX treats specially; characters beyond ASCII become their code point.

    Example:
        >>> escape_latex("50% of a_b & c")
        '50\\% of a\\_b \\& c'
    """
    return "".join(
        _LATEX_ESCAPES.get(char, char if char.isascii() else f"U+{ord(char):04X}")
        for char in _one_line(text)
    )


def escape_markdown(text: str) -> str:
    r"""Escape what would end a Markdown table cell or start HTML.

    Example:
        >>> escape_markdown("1.2|2.0 <b>")
        '1.2\\|2.0 &lt;b>'
    """
    escaped = _one_line(text).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _latex_rows(table: Table) -> list[str]:
    """Two lines per row: the means, and below them the intervals, kept on one page."""
    lines = []
    previous = None
    for labels, cells in table.rows:
        if previous not in (None, labels[0]):
            lines.append(r"\midrule")
        previous = labels[0]
        means = " & ".join([*map(escape_latex, labels), *(cell.mean_text for cell in cells)])
        if any(cell.range_text for cell in cells):
            ranges = [rf"{{\tiny {cell.range_text}}}" if cell.range_text else "" for cell in cells]
            lines.append(rf"{means} \\*")
            lines.append(" & ".join([*([""] * len(labels)), *ranges]) + r" \\")
        else:
            lines.append(rf"{means} \\")
    return lines


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def _commented(mark: str, lines: Sequence[str]) -> str:
    return "".join(f"{mark} {_one_line(line)}\n" for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())
