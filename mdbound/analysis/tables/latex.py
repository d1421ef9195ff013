r"""Tables as LaTeX: booktabs rules, siunitx columns, best value bold, second best underlined."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mdbound.analysis.tables.table import DIGITS, Interval, Table

_ESCAPES = {
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

#: Where siunitx is missing, its columns are set flush right: the digits line up as they are.
_PREAMBLE = (
    r"\usepackage{booktabs}",
    r"\usepackage{longtable}",
    r"\IfFileExists{siunitx.sty}{\usepackage{siunitx}}{\usepackage{array}}",
    r"\makeatletter",
    r"\ifdefined\sisetup\else",
    r"  \newcolumntype{S}{}\def\NC@rewrite@S[#1]{\NC@find r}",
    r"  \newcommand{\sisetup}[1]{}\newcommand{\num}[1]{#1}",
    r"\fi",
    r"\makeatother",
)


def to_latex(table: Table) -> str:
    r"""Write a table as a LaTeX document that compiles as it stands.

    Numbers are `mean(uncertainty)`: half the width of the interval in units of the last digit.
    The part between the two `% table` lines can be pasted into a paper that loads booktabs,
    longtable and siunitx.

    Example:
        >>> row = (("a_b",), (Interval(0.5, 0.49, 0.51),))
        >>> table = Table("Mean.", ("task",), ("n = 1",), (row,), (), label="tab:mean")
        >>> "a\\_b & 0.500(10)" in to_latex(table)
        True
    """
    wide = len(table.labels) + len(table.values) > 9
    lines = [
        *(f"% {_one_line(line)}" for line in (table.caption, *table.notes)),
        r"\documentclass{article}",
        rf"\usepackage[{'landscape,' if wide else ''}margin=15mm]{{geometry}}",
        *_PREAMBLE,
        r"\begin{document}",
        "% table begins",
        *_table_lines(table),
        "% table ends",
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    r"""Escape what LaTeX treats specially; characters beyond ASCII become their code point.

    Example:
        >>> escape_latex("50% of a_b & c")
        '50\\% of a\\_b \\& c'
    """
    escaped = "".join(
        _ESCAPES.get(char, char if char.isascii() else f"U+{ord(char):04X}")
        for char in _one_line(text)
    )
    return escaped.replace("--", "-{}-")


def _table_lines(table: Table) -> list[str]:
    formats = [
        number_format([cells[column] for _, cells in table.rows])
        for column in range(len(table.values))
    ]
    columns = "l" * len(table.labels) + "".join(f"S[table-format={each}]" for each in formats)
    names = [*map(escape_latex, table.labels), *map(_heading, table.values)]
    label = rf"\label{{{escape_label(table.label)}}}" if table.label else ""
    header = [r"\toprule", rf"{' & '.join(names)} \\", r"\midrule"]
    return [
        r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\LTcapwidth}{\textwidth}",
        r"\sisetup{detect-weight=true,mode=text}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{escape_latex(table.caption)}}}{label}\\",
        *header,
        r"\endfirsthead",
        *header,
        r"\endhead",
        r"\bottomrule",
        r"\endlastfoot",
        *_row_lines(table),
        r"\end{longtable}",
        *(rf"\noindent {escape_latex(note)}\par" for note in (*reading_notes(table), *table.notes)),
        r"\endgroup",
    ]


def _heading(name: str) -> str:
    """A column's name in braces, so that siunitx takes it for text; "n = 3" is mathematics."""
    return f"{{${escape_latex(name)}$}}" if name.startswith("n = ") else f"{{{escape_latex(name)}}}"


def reading_notes(table: Table) -> list[str]:
    """How to read the marks and the numbers in parentheses, where there are any."""
    cells = [cell for _, row in table.rows for cell in row]
    notes = []
    if any(cell.half_width is not None for cell in cells):
        notes.append("In parentheses: half the width of the interval, in the last digits.")
    if any(cell.rank for cell in cells):
        notes.append("Bold: best of its block. Underlined: second best.")
    return notes


def number_format(cells: Sequence[Interval]) -> str:
    """The siunitx table-format that fits every number of a column.

    Example:
        >>> number_format([Interval(0.5, 0.49, 0.51), Interval(-0.25)])
        '-1.3(2)'
    """
    means = [cell.mean for cell in cells if cell.mean is not None]
    uncertainties = [cell.half_width for cell in cells if cell.half_width is not None]
    sign = "-" if any(round(mean, DIGITS) < 0 for mean in means) else ""
    whole = max([len(str(int(abs(mean)))) for mean in means], default=1)
    width = max([len(str(each)) for each in uncertainties], default=0)
    return f"{sign}{whole}.{DIGITS}" + (f"({width})" if width else "")


def escape_label(text: str) -> str:
    """Keep of a label the characters that LaTeX takes in one.

    Example:
        >>> escape_label("tab:a_b {c}")
        'tab:a-b-c-'
    """
    return re.sub(r"[^A-Za-z0-9:.]+", "-", text)


def _row_lines(table: Table) -> list[str]:
    lines = []
    previous = None
    for labels, cells in table.rows:
        if previous not in (None, labels[0]):
            lines.append(r"\midrule")
        previous = labels[0]
        numbers = map(_number, cells)
        first, *others = map(escape_latex, labels)
        # A bracket right after \\ or \midrule would be read as an option of theirs.
        first = f"{{}}{first}" if first.startswith(("(", "[")) else first
        lines.append(rf"{' & '.join([first, *others, *numbers])} \\")
    return lines


def _number(cell: Interval) -> str:
    if cell.mean is None:
        return "{--}"
    uncertainty = "" if cell.half_width is None else f"({cell.half_width})"
    number = f"{cell.mean_text}{uncertainty}"
    if cell.rank == 1:
        return rf"\bfseries {number}"
    if cell.rank == 2:
        # A column of numbers cannot underline one by itself: this cell is text around a number.
        return rf"{{\underline{{\num{{{number}}}}}}}"
    return number


def _one_line(text: str) -> str:
    return " ".join(text.split())
