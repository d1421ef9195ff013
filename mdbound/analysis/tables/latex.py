r"""Tables as LaTeX floats that `\input` into one- and two-column papers.

booktabs rules, siunitx columns, rows grouped by draft law, best value bold and second best
underlined. Written by hand: the writers of pandas and great_tables know no siunitx column with an
uncertainty, no float that two column widths share, and no break of a table over floats, which is
what these lines do.

A float fits whatever it is put in: a table that is wider than the text is scaled down to it, one
of many columns or rows is broken over several. Provenance is in comments and in the JSON file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mdbound.analysis.statistics.task_means import ALL_TASKS
from mdbound.analysis.tables.names import in_words
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

#: Columns of numbers in a float: more are so small, once they fit, that nobody reads them.
MOST_COLUMNS = 8

#: Lines of a float, in the size of footnotes: more are taller than a page.
MOST_LINES = 40

#: Characters of a row from which it is wider than a column of a two-column paper.
NARROW = 46

#: Loads all that a fragment uses.
PREAMBLE = (
    r"\usepackage{booktabs}",
    r"\usepackage{graphicx}",
    r"\usepackage{siunitx}",
)

#: Column of a row's draft law: its rows stand together, under its name.
_GROUP = "draft law"

_NUMBERED = re.compile(r"(.+) = (-?[\d.]+)")


def to_latex(table: Table) -> str:
    r"""Write a table as floats to `\input`: pooled rows; of tables of tasks those of all of them.

    Numbers are `mean(uncertainty)`: half the width of the interval in units of the last digit.

    Example:
        >>> row = (("a_b",), (Interval(0.5, 0.49, 0.51),))
        >>> table = Table("Mean.", ("task",), ("n = 1",), (row,), (), label="tab:mean")
        >>> "a b & 0.500(10)" in to_latex(table)
        True
    """
    return _fragment(table, pooled(table))


def tasks_to_latex(table: Table) -> str | None:
    """The rows of each task, for an appendix; None where the table has no pooled rows to spare it.

    Example:
        >>> rows = tuple(((task,), (Interval(0.5),)) for task in ("all", "qa"))
        >>> "qa & 0.500" in tasks_to_latex(Table("Mean.", ("task",), ("n = 1",), rows, ()))
        True
    """
    main = pooled(table)
    if len(main.rows) == len(table.rows):
        return None
    by_task = replace(
        table,
        rows=tuple(row for row in table.rows if row[0][0] != ALL_TASKS),
        caption=f"{table.caption.rstrip('.')}, by task.",
        label=f"{table.label}-tasks" if table.label else "",
    )
    return _fragment(table, by_task)


def standalone(names: Sequence[str]) -> str:
    r"""A document that `\input`s fragments, to look at them.

    Example:
        >>> print(standalone(["rates.tex"]).splitlines()[-2])
        \input{rates.tex}
    """
    lines = [
        r"\documentclass{article}",
        *PREAMBLE,
        r"\begin{document}",
        *(rf"\input{{{name}}}" for name in names),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def pooled(table: Table) -> Table:
    """The rows over all tasks, without the column that says so; the table where there are none."""
    if not table.labels or table.labels[0] != "task":
        return table
    rows = [row for row in table.rows if row[0][0] == ALL_TASKS]
    if not rows:
        return table
    if len(table.labels) == 1:  # the row needs some name
        return replace(table, rows=tuple(rows))
    stripped = tuple((labels[1:], cells) for labels, cells in rows)
    return replace(table, labels=table.labels[1:], rows=stripped)


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


def _fragment(source: Table, table: Table) -> str:
    comments = [f"% {_one_line(line)}" for line in (source.caption, *source.notes)]
    needs = "% needs " + " ".join(PREAMBLE)
    floats = list(_floats(_grouped(table)))
    lines = [
        line for number, part in enumerate(floats) for line in _float(part, number, len(floats))
    ]
    return "\n".join([*comments, needs, *lines]) + "\n"


def _floats(table: Table) -> Iterator[Table]:
    """A part for each float: columns, then rows, as many as fit one."""
    width = len(table.values)
    per_part = math.ceil(width / math.ceil(width / MOST_COLUMNS)) if width else 1
    for first in range(0, max(width, 1), per_part):
        values = table.values[first : first + per_part]
        rows = tuple((labels, cells[first : first + per_part]) for labels, cells in table.rows)
        yield from _pages(replace(table, values=values, rows=rows))


def _pages(table: Table) -> Iterator[Table]:
    start, lines, previous = 0, 0, None
    group = _group_column(table)
    for number, (labels, _) in enumerate(table.rows):
        # A change of group, or of the first label, costs a rule or a line.
        key = labels[group] if group is not None else labels[0] if labels else ""
        lines += 1 + (key != previous)
        previous = key
        if lines > MOST_LINES and number > start:
            yield replace(table, rows=table.rows[start:number])
            start, lines = number, 2
    yield replace(table, rows=table.rows[start:])


def _group_column(table: Table) -> int | None:
    """Place of the draft law among the labels, where it varies and other labels are left."""
    if _GROUP not in table.labels or len(table.labels) < 2:
        return None
    place = table.labels.index(_GROUP)
    return place if len({labels[place] for labels, _ in table.rows}) > 1 else None


def _float(table: Table, number: int, total: int) -> list[str]:
    kind = "table*" if _is_wide(table) else "table"
    first = number == 0
    label = rf"\label{{{escape_label(table.label)}}}" if table.label and first else ""
    caption = " ".join([escape_latex(table.caption), *reading_notes(table)])
    continued = f" ({number + 1} of {total})" if total > 1 else ""
    return [
        rf"\begin{{{kind}}}[tbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{caption}{continued}}}{label}",
        r"\sbox0{%",
        *_tabular(table),
        r"}%",
        # Scaled down where it is wider than what it is put in, and only there.
        r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
        rf"\end{{{kind}}}",
    ]


def _is_wide(table: Table) -> bool:
    """Whether a column of a two-column paper is too narrow."""
    group = _group_column(table)
    labels = [
        max([len(labels[k]) for labels, _ in table.rows] + [len(name)])
        for k, name in enumerate(table.labels)
        if k != group
    ]
    cells = [
        max(len(_number(cells[k], "")) for _, cells in table.rows) + 1
        for k in range(len(table.values))
    ]
    return sum(labels) + sum(cells) + 2 * len(labels) > NARROW


def _tabular(table: Table) -> list[str]:
    group = _group_column(table)
    kept = [k for k in range(len(table.labels)) if k != group]
    formats = [
        number_format([cells[column] for _, cells in table.rows])
        for column in range(len(table.values))
    ]
    columns = "l" * len(kept) + "".join(f"S[table-format={each}]" for each in formats)
    return [
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_header(table, kept),
        r"\midrule",
        *_body(table, kept, group, formats),
        r"\bottomrule",
        r"\end{tabular}%",
    ]


def _header(table: Table, kept: Sequence[int]) -> list[str]:
    """One line; two where all columns are values of one quantity, which stands above them."""
    names = [escape_latex(table.labels[k]) for k in kept]
    matches = [_NUMBERED.fullmatch(value) for value in table.values]
    quantities = {match.group(1) for match in matches if match}
    if len(table.values) < 2 or not all(matches) or len(quantities) != 1:
        return [rf"{' & '.join([*names, *map(_heading, table.values)])} \\"]
    (quantity,) = quantities
    span = rf"\multicolumn{{{len(table.values)}}}{{c}}{{{_quantity(quantity)}}}"
    first, last = len(kept) + 1, len(kept) + len(table.values)
    below = [f"{{{match.group(2)}}}" for match in matches if match]
    return [
        rf"{' & '.join([*([''] * len(kept)), span])} \\",
        rf"\cmidrule(l){{{first}-{last}}}",
        rf"{' & '.join([*names, *below])} \\",
    ]


def _quantity(name: str) -> str:
    return f"${name}$" if len(name) == 1 else escape_latex(name)


def _heading(name: str) -> str:
    """A column's name in braces, so that siunitx takes it for text; "n = 3" is mathematics."""
    match = _NUMBERED.fullmatch(name)
    if match and len(match.group(1)) == 1:
        return f"{{${name}$}}"
    return f"{{{escape_latex(name)}}}"


def _body(
    table: Table, kept: Sequence[int], group: int | None, formats: Sequence[str]
) -> list[str]:
    lines: list[str] = []
    width = len(kept) + len(table.values)
    previous: str | None = None
    for labels, cells in table.rows:
        key = labels[group] if group is not None else (labels[0] if labels else "")
        if key != previous:
            if group is not None:
                lines += [r"\addlinespace"] if previous is not None else []
                title = escape_latex(in_words(_GROUP, key))
                lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{title}}}}} \\")
                lines.append(rf"\cmidrule(r){{1-{max(len(kept), 1)}}}")
            elif previous is not None and _repeats(table):
                lines.append(r"\midrule")
        previous = key
        shown = [escape_latex(in_words(table.labels[k], labels[k])) for k in kept]
        if shown and shown[0].startswith(("(", "[")):
            # A bracket right after \\ or \midrule would be read as an option of theirs.
            shown[0] = f"{{}}{shown[0]}"
        numbers = [_number(cell, form) for cell, form in zip(cells, formats, strict=True)]
        lines.append(rf"{' & '.join([*shown, *numbers])} \\")
    return lines


def _repeats(table: Table) -> bool:
    """Whether the first label has several rows somewhere: only then a rule sets them apart."""
    firsts = [labels[0] for labels, _ in table.rows if labels]
    return len(set(firsts)) < len(firsts)


def _grouped(table: Table) -> Table:
    """Rows of a draft law together, in the order in which the laws appear."""
    group = _group_column(table)
    if group is None:
        return table
    order = list(dict.fromkeys(labels[group] for labels, _ in table.rows))
    return replace(
        table, rows=tuple(sorted(table.rows, key=lambda row: order.index(row[0][group])))
    )


def reading_notes(table: Table) -> list[str]:
    """How to read the marks and the numbers in parentheses, where there are any."""
    cells = [cell for _, row in table.rows for cell in row]
    notes = []
    if any(cell.half_width is not None for cell in cells):
        notes.append("In parentheses: half the width of the interval, in the last digits.")
    ranks = {cell.rank for cell in cells}
    if 1 in ranks:
        notes.append("Bold: best.")
    if 2 in ranks:
        notes.append("Underlined: second best.")
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


def _number(cell: Interval, form: str) -> str:
    if cell.mean is None:
        return "{--}"
    uncertainty = "" if cell.half_width is None else f"({cell.half_width})"
    number = f"{cell.mean_text}{uncertainty}"
    if cell.rank == 1:
        return rf"\bfseries {number}"
    if cell.rank == 2:
        # A column of numbers cannot underline one by itself: this cell is text, made as wide as
        # the others by digits that do not show.
        left, right = _missing_digits(number, form)
        return rf"{{{left}\underline{{\num{{{number}}}}}{right}}}"
    return number


def _missing_digits(number: str, form: str) -> tuple[str, str]:
    match = re.fullmatch(r"(-?)(\d+)\.\d+(?:\((\d+)\))?", form)
    if match is None:
        return "", ""
    whole, _, rest = number.lstrip("-").partition(".")
    digits = int(match.group(2)) - len(whole)
    lacking = int(match.group(3) or 0) - len(rest[DIGITS:].strip("()"))
    left = rf"\phantom{{{'0' * digits}}}" if digits > 0 else ""
    if not match.group(3) or lacking <= 0:
        return left, ""
    brackets = "" if "(" in rest else "()"
    return left, rf"\phantom{{{brackets}{'0' * lacking}}}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
