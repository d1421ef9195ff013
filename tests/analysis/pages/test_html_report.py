"""The page stands alone: it parses, refers to nothing outside, and holds what it should."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mdbound.analysis.pages.html_page import Commands, Facts, Notes, Page, Section, render_page
from mdbound.analysis.pages.html_report import PAGE_NAME, write_html
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.table import Interval, Table
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache

pytest.importorskip("matplotlib")

QUICK = Bootstrap(resamples=100)
VOID = {"meta", "wbr", "link", "br", "img", "input", "hr", "path", "use", "rect", "image"}


class Checker(HTMLParser):
    """Collects what a page refers to and checks that its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._collect(tag, attrs)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._collect(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack.pop() == tag

    def _collect(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "xlink:href", "srcset", "data", "action"}:
                self.links.append((tag, value or ""))


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.stack == []
    assert len(checker.ids) == len(set(checker.ids))
    for tag, link in checker.links:
        if link.startswith("#"):
            assert link[1:] in checker.ids
        elif link.startswith("https://"):
            assert tag == "a"
        else:
            assert link.startswith("data:image/png;base64,")
    assert not checker.tags & {"link", "iframe", "object", "img"}
    # One script, in the page, that asks nobody for anything.
    assert text.count("<script") == text.count("<script>") == 1
    script = text[text.index("<script>") :]
    assert not re.search(r"fetch|XMLHttpRequest|import\(|WebSocket|https?:", script)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    return checker


@pytest.fixture(scope="module")
def results(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = SolveGrid(
        sampling=("with_replacement",), num_drafts=(1, 2), drafts=("small",), schemes=("k_seq",)
    )
    pair = SolveGrid(
        sampling=("independent",),
        draft_temperature_sets=((0.8, 0.8), (0.8, 1.2), (1.2, 1.2)),
        num_drafts=(2,),
        drafts=("small",),
    )
    settings = grid.settings(["small"]) + pair.settings(["small"])
    out = tmp_path_factory.mktemp("page") / "r.parquet"
    return solve_cache(cache, settings, out, command="mdbound solve <caches & co>").path


def test_the_page_needs_nothing_from_outside(results: Path, tmp_path: Path) -> None:
    page = write_html(results, tmp_path, bootstrap=QUICK, command="mdbound report r --html")
    assert page == tmp_path / PAGE_NAME
    text = page.read_text(encoding="utf-8")
    checker = checked(text)
    assert {"figures", "tables", "tables-per-task", "provenance", "commands"} <= set(checker.ids)
    # Figures that these results hold enough for: a heat map among them, as an inline image.
    assert text.count("<figure") == 5
    assert "mdbound solve &lt;caches &amp; co&gt;\nmdbound report r --html" in text
    assert open_results(results).provenance.capture_identity in text
    assert "Fewer than 20 documents" in text
    for words in ("prefers-color-scheme: dark", "color-scheme: light dark", "width=device-width"):
        assert words in text


def test_a_second_run_changes_nothing(results: Path, tmp_path: Path) -> None:
    first = write_html(results, tmp_path, bootstrap=QUICK)
    content, time = first.read_bytes(), first.stat().st_mtime_ns
    second = write_html(results, tmp_path, bootstrap=QUICK)
    assert (second.read_bytes(), second.stat().st_mtime_ns) == (content, time)


def test_texts_are_escaped_and_only_addresses_become_links() -> None:
    nasty = 'a <script>alert("x")</script> & $title https://arxiv.org/abs/1.2, http://plain.org'
    table = Table(nasty, (nasty,), ("n = 1",), (((nasty,), (Interval(0.5, 0.4, 0.6, 1),)),), ())
    section = Section("S & T", (nasty, table, Facts(((nasty, nasty),)), Commands((nasty,))))
    text = render_page(Page(nasty, (nasty,), (section, Section("none", ()))))
    checker = checked(text)
    assert "<script>alert" not in text
    assert {link for _, link in checker.links} == {"#s-t", "https://arxiv.org/abs/1.2"}
    best = (
        '<td class="number best" data-value="0.5" data-low="0.4" data-high="0.6"><span>0.500</span>'
    )
    assert f"{best}<small>[0.400, 0.600]</small></td>" in text
    assert "none" not in checker.ids


def test_warnings_stand_out() -> None:
    notes = Notes(("TRUNCATED RUN: the first.", "Fine."))
    text = render_page(Page("t", (), (Section("n", (notes,)),)))
    assert '<li class="warning">TRUNCATED RUN' in text
    assert "<li>Fine." in text


@pytest.mark.parametrize(("rows", "open_"), [(3, True), (61, False)])
def test_long_tables_are_folded(rows: int, open_: bool) -> None:
    table = Table(
        "c", ("a",), ("n",), tuple(((str(at),), (Interval(0.5),)) for at in range(rows)), ()
    )
    text = render_page(Page("t", (), (Section("s", (table,)),)))
    assert ("<details open>" in text) == open_


def test_what_is_no_results_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no such results file"):
        write_html(tmp_path / "none.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cells_say_their_numbers_and_names() -> None:
    table = Table(
        "Mean.",
        ("scheme",),
        ("n = 1",),
        ((("k_seq",), (Interval(0.51234, 0.5, 0.52),)), (("greedy",), (Interval(None),))),
        (),
    )
    text = render_page(Page("t", (), (Section("s", (table,)),)))
    assert '<td data-name="k_seq">K-SEQ</td>' in text
    assert 'data-value="0.51234" data-low="0.5" data-high="0.52"' in text
    assert 'data-value=""' in text
