"""One self-contained HTML page: text, tables, figures, facts and commands, nothing from outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TypeAlias

from mdbound.analysis.figures import Drawing, inline_svg
from mdbound.analysis.figures.style import COLUMN_WIDTH
from mdbound.analysis.tables.names import in_words
from mdbound.analysis.tables.table import Interval, Table

#: Rows above which a table is folded until it is asked for: an open one hides what comes after it,
#: a folded one costs a click.
_LONG_TABLE = 60


@dataclass(frozen=True)
class Facts:
    """Names and values, shown side by side.

    Attributes:
        pairs: Name and value of each.
    """

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Commands:
    """Command lines, shown as they are typed.

    Attributes:
        lines: The commands, in order.
    """

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Notes:
    """A list of sentences; those in capitals are warnings.

    Attributes:
        sentences: The sentences.
    """

    sentences: tuple[str, ...]


#: What a section can hold; a text is a paragraph.
Block: TypeAlias = str | Table | Drawing | Facts | Commands | Notes


@dataclass(frozen=True)
class Section:
    """A part of a page with its heading.

    Attributes:
        title: The heading.
        blocks: What is in it, in order; figures next to each other share a row.
    """

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A page before it is written.

    Attributes:
        title: Heading, and title of the window.
        lead: Paragraphs under the heading.
        sections: The rest.
    """

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]


def render_page(page: Page) -> str:
    """Write a page as HTML that needs no other file and no network.

    Web addresses in texts become links; everything else is escaped.

    Example:
        >>> page = Page("Bounds", ("At most <1.",), (Section("Runs", (Commands(("mdbound",)),)),))
        >>> "<p>At most &lt;1.</p>" in render_page(page)
        True
    """
    folder = files("mdbound.analysis.pages")
    sections = [section for section in page.sections if section.blocks]
    return Template(folder.joinpath("html_report.html").read_text(encoding="utf-8")).substitute(
        title=escape(page.title),
        style=folder.joinpath("html_report.css").read_text(encoding="utf-8"),
        script=folder.joinpath("html_report.js").read_text(encoding="utf-8"),
        lead="\n".join(_paragraph(text) for text in page.lead),
        contents="\n".join(
            f'<li><a href="#{_anchor(each.title)}">{escape(each.title)}</a></li>'
            for each in sections
        ),
        main="\n".join(_section(each) for each in sections),
    )


def _section(section: Section) -> str:
    parts = [f'<section id="{_anchor(section.title)}">', f"<h2>{escape(section.title)}</h2>"]
    figures: list[str] = []
    for block in section.blocks:
        if isinstance(block, Drawing):
            figures.append(_figure(block))
            continue
        parts += [*_row(figures), _block(block)]
        figures = []
    return "\n".join([*parts, *_row(figures), "</section>"])


def _row(figures: Sequence[str]) -> list[str]:
    return ['<div class="figures">', *figures, "</div>"] if figures else []


def _block(block: str | Table | Facts | Commands | Notes) -> str:
    if isinstance(block, str):
        return _paragraph(block)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Facts):
        pairs = (f"<dt>{escape(name)}</dt><dd>{_linked(text)}</dd>" for name, text in block.pairs)
        return "\n".join(["<dl>", *pairs, "</dl>"])
    if isinstance(block, Commands):
        return "<pre><code>" + escape("\n".join(block.lines)) + "</code></pre>"
    items = (f"<li{_warning(text)}>{_linked(text)}</li>" for text in block.sentences)
    return "\n".join(["<ul>", *items, "</ul>"])


def _paragraph(text: str) -> str:
    return f"<p{_warning(text)}>{_linked(text)}</p>"


def _warning(text: str) -> str:
    return ' class="warning"' if re.match(r"[A-Z]{4,} [A-Z]{3,}", text) else ""


def _linked(text: str) -> str:
    """Escaped text in which web addresses are links."""
    return re.sub(
        r"https://[\w./%-]*[\w/]",
        lambda found: f'<a href="{found.group()}">{found.group().removeprefix("https://")}</a>',
        escape(text),
    )


def _table(table: Table) -> str:
    head = [f'<th scope="col">{escape(name)}</th>' for name in table.labels]
    head += [f'<th scope="col" class="number">{escape(name)}</th>' for name in table.values]
    rows = []
    for labels, cells in table.rows:
        named = zip(table.labels, labels, strict=True)
        row = [_label_cell(name, label) for name, label in named]
        rows.append(f"<tr>{''.join([*row, *map(_cell, cells)])}</tr>")
    is_open = " open" if len(rows) <= _LONG_TABLE else ""
    lines = [
        f"<details{is_open}><summary>{_linked(table.caption)}</summary>",
        '<div class="scroll" tabindex="0" role="region" aria-label="Table; may scroll sideways">',
        f"<table><thead><tr>{''.join(head)}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody></table></div></details>",
    ]
    return "\n".join(lines)


def _label_cell(name: str, label: str) -> str:
    """A leading cell in words; what it is called in files goes into the CSV."""
    words = in_words(name, label)
    raw = f' data-name="{escape(label)}"' if words != label else ""
    return f"<td{raw}>{_breakable(words)}</td>"


def _breakable(label: str) -> str:
    """Escaped text that may break after an underscore or a bar, for narrow windows."""
    return re.sub(r"[_|]", r"\g<0><wbr>", escape(label))


def _cell(cell: Interval) -> str:
    rank = {1: " best", 2: " second"}.get(cell.rank or 0, "")
    interval = f"<small>{cell.range_text}</small>" if cell.range_text else ""
    numbers = {"value": cell.mean, "low": cell.low, "high": cell.high}
    data = " ".join(
        f'data-{name}="{"" if number is None else repr(float(number))}"'
        for name, number in numbers.items()
        if number is not None or name == "value"
    )
    return f'<td class="number{rank}" {data}><span>{cell.mean_text}</span>{interval}</td>'


def _figure(drawing: Drawing) -> str:
    caption = escape(drawing.caption, quote=True)
    svg = inline_svg(drawing).replace("<svg ", f'<svg role="img" aria-label="{caption}" ', 1)
    wide = ' class="wide"' if drawing.figure.get_figwidth() > COLUMN_WIDTH + 1.0 else ""
    return f"<figure{wide}>\n{svg}\n<figcaption>{_linked(drawing.caption)}</figcaption>\n</figure>"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
