from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import SETTING_COLUMNS, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.csv_markdown import to_csv, to_markdown
from mdbound.analysis.tables.latex import to_latex
from mdbound.analysis.tables.origin import read_origin
from mdbound.analysis.tables.report import Report, write_report
from mdbound.analysis.tables.table import Interval, Table, acceptance_table
from mdbound.errors import CacheError, OutputError
from mdbound.logits_cache.store.cache import LogitsCache
from tests.analysis.tables.tex import CLASSES, compile_document, compile_tables, has_tex

QUICK = Bootstrap(resamples=199, seed=3)
NASTY = Table(
    caption='100% of $x_1$ & {more} #1 \\end{document} ~^<>|"',
    labels=("task", "draft law"),
    values=("n = 1", "n = 2"),
    rows=(
        (("a_b|c&d", "50%\nnext"), (Interval(0.5, 0.4, 0.6, 2), Interval(None))),
        (("数学", "q"), (Interval(1.0, rank=1), Interval(0.25, 0.2, 0.3))),
        (("数学", "r"), (Interval(-0.0001), Interval(-10.25, -10.5, -10.0, 1))),
        (("(bracket", "s"), (Interval(0.5), Interval(0.5))),
        (("[bracket", "t"), (Interval(0.5), Interval(0.5))),
    ),
    notes=("% note _ here\n\\second", "plain"),
    label="tab:50%_of {x}",
)


@pytest.fixture(scope="module")
def results(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("solved") / "r.parquet"
    grid = SolveGrid(
        sampling=("with_replacement", "independent"), temperatures=(0.7, 1.0), num_drafts=(1, 2, 4)
    )
    solve_cache(cache, grid.settings(cache.draft_names), out, command="mdbound solve a_b")
    return out


@pytest.fixture(scope="module")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("reports") / "new"
    return write_report(results, folder, bootstrap=QUICK, command="mdbound report r.parquet")


def fragments(report: Report) -> list[Path]:
    """Files of LaTeX to be put into a paper."""
    tex = [file for file in report.files if file.suffix == ".tex"]
    return [file for file in tex if not file.stem.endswith("standalone")]


KINDS = (".csv", ".tex", "-tasks.tex", "-standalone.tex", ".md", ".json")


def test_every_table_says_where_it_comes_from(report: Report, results: Path) -> None:
    names = [f"{stem}{kind}" for stem in ("acceptance", "acceptance_by_document") for kind in KINDS]
    names += ["acceptance_long.csv", "acceptance_long.parquet", "acceptance_long.json"]
    assert [file.name for file in report.files] == names
    identity = open_results(results).provenance.capture_identity
    saying = [file for file in report.files if file.suffix in (".json", ".md")]
    saying += [file for file in report.files if file.name.endswith(("acceptance.tex", "tasks.tex"))]
    for file in saying:
        text = file.read_text("utf-8")
        for part in (identity, "mdbound 0.", "6 documents, 24 positions", "seed 3", "numpy"):
            assert part in text, (file.name, part)
        assert "Fewer than 20 documents" in text
        assert re.search(r"mdbound solve a\\?_b", text)
        assert "mdbound report r.parquet" in text


def test_provenance_has_the_digest_of_rows_and_files(report: Report, results: Path) -> None:
    folder = report.files[0].parent
    origins = {file.name: read_origin(file) for file in report.files if file.suffix == ".json"}
    assert len(origins) == 3
    for origin in origins.values():
        digest = hashlib.sha256(results.read_bytes()).hexdigest()
        assert origin.results == {results.name: digest}
        for name, recorded in origin.files.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == recorded
    named = {name for origin in origins.values() for name in origin.files} | set(origins)
    assert named == {file.name for file in report.files}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"mdbound_table": 2}',
        '{"mdbound_table": 1, "caption": "", "notes": [], "results": {}, "files": {"../x": "0"}}',
        '{"mdbound_table": 1, "caption": 1, "notes": [], "results": {}, "files": {}}',
        '{"mdbound_table": 1, "caption": "", "notes": "x", "results": [], "files": {}}',
    ],
)
def test_damaged_provenance_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(CacheError, match=r"t\.json"):
        read_origin(tmp_path / "t.json")


def test_every_reader_takes_the_csv_as_it_stands(report: Report) -> None:
    pandas = pytest.importorskip("pandas")
    for file in report.files:
        if file.suffix == ".csv":
            ours, theirs = pl.read_csv(file), pandas.read_csv(file)
            assert ours.columns == list(theirs.columns)
            assert ours.height == len(theirs) > 1


def test_the_wide_table_has_n_across_and_a_row_per_task_and_setting(report: Report) -> None:
    table = report.table
    assert table.values == ("n = 1", "n = 2", "n = 4")
    assert table.labels == ("task", "draft", "temperature", "draft law")
    # 3 tasks (all, qa, a_b), 2 temperatures, 2 drafts with replacement and 1 independent pair
    assert len(table.rows) == 3 * 2 * 3
    tasks = [labels[0] for labels, _ in table.rows]
    assert tasks == sorted(tasks, key=["all", "qa", "a_b"].index)
    independent = [cells for labels, cells in table.rows if labels[3] == "independent"]
    assert all(cells[2] == Interval(None) for cells in independent)
    assert "draft temperature as the target's" in table.caption


def test_csv_reads_back_with_the_means_of_the_rows(report: Report, results: Path) -> None:
    wide = pl.read_csv(report.files[0])
    long = pl.read_csv(report.files[12])
    key = {"sampling": "with_replacement", "draft": "small", "temperature": 0.7}
    rows = open_results(results).frame.filter(num_drafts=2, **key).collect()
    expected = rows["acceptance"].to_numpy().mean()
    assert wide.rename({"draft law": "sampling"}).filter(task="all", **key)["n = 2"].item() == (
        pytest.approx(expected, abs=1e-11)
    )
    cell = long.filter(task="all", num_drafts=2, **key)
    assert cell["mean"].item() == pytest.approx(expected, abs=1e-11)
    assert cell["mean_two_draft_acceptance"].item() == pytest.approx(expected, abs=1e-11)
    assert cell["low"].item() < expected < cell["high"].item()


def test_the_same_results_give_the_same_bytes(
    report: Report, results: Path, tmp_path: Path
) -> None:
    again = write_report(results, tmp_path, bootstrap=QUICK, command="mdbound report r.parquet")
    for old, new in zip(report.files, again.files, strict=True):
        assert old.read_bytes() == new.read_bytes()
    times = [file.stat().st_mtime_ns for file in report.files]
    write_report(
        results, report.files[0].parent, bootstrap=QUICK, command="mdbound report r.parquet"
    )
    assert [file.stat().st_mtime_ns for file in report.files] == times


def assert_balanced(text: str) -> None:
    """Braces, dollars and environments open and close; nothing special stays unescaped."""
    lines = [line for line in text.splitlines() if not line.startswith(("%", r"\ifdim"))]
    live = "\n".join(re.sub(r"(?<!\\)%$", "", line) for line in lines)
    bare = re.sub(r"\\[\\{}$&%#_]", "", live)
    depth = 0
    for char in bare:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[%#_^~<>|\"]", bare)
    assert bare.isascii()
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened


def test_latex_is_balanced_and_every_row_has_every_column(report: Report) -> None:
    texts = [file.read_text() for file in fragments(report)]
    for text in (*texts, to_latex(NASTY)):
        assert_balanced(text)
        floats = re.findall(r"(?s)\\begin\{tabular\}.*?\\end\{tabular\}", text)
        assert floats
        for one in floats:
            columns = re.search(r"\{@\{\}(l*)((?:S\[table-format=[-\d.()]+\])+)@\{\}\}", one)
            assert columns
            count = len(columns[1]) + columns[2].count("S[")
            rows = re.findall(r"^([^%].*[^\\]&.*) \\\\$", one, flags=re.MULTILINE)
            assert len(rows) > 2
            for line in rows:
                spanned = sum(int(each) - 1 for each in re.findall(r"\\multicolumn\{(\d+)\}", line))
                assert len(re.findall(r"(?<!\\)&", line)) + spanned == count - 1, line


def test_the_balance_check_can_fail() -> None:
    for broken in ("a_b", "{", "}", "$x", r"\begin{a}\end{b}"):
        with pytest.raises(AssertionError):
            assert_balanced(broken)


@pytest.mark.skipif(not has_tex(), reason="no TeX engine on this machine")
@pytest.mark.parametrize("document_class", CLASSES)
def test_latex_compiles_as_it_stands(report: Report, tmp_path: Path, document_class: str) -> None:
    texts = [file.read_text() for file in fragments(report)]
    assert compile_tables([*texts, to_latex(NASTY)], document_class, tmp_path) == []


@pytest.mark.skipif(not has_tex(), reason="no TeX engine on this machine")
def test_the_standalone_document_compiles(report: Report) -> None:
    folder = report.files[0].parent
    assert compile_document(folder / "acceptance-standalone.tex") == []


@pytest.mark.skipif(not has_tex(), reason="no TeX engine on this machine")
def test_a_table_that_is_too_wide_is_found(tmp_path: Path) -> None:
    """Control: without the scaling the log has an overfull box."""
    wide = replace(
        NASTY,
        labels=("task", "draft law"),
        rows=tuple(((f"{'x' * 90}", labels[1]), cells) for labels, cells in NASTY.rows),
    )
    text = to_latex(wide)
    assert compile_tables([text], "article", tmp_path) == []
    unscaled = text.replace(r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else", "")
    unscaled = unscaled.replace(r"\usebox0\fi", r"\usebox0")
    assert any("Overfull" in line for line in compile_tables([unscaled], "article", tmp_path))


def test_many_rows_and_columns_are_broken_over_floats() -> None:
    rows = tuple(((f"t{k}", "s"), (Interval(0.5),) * 20) for k in range(100))
    table = Table("Mean.", ("task", "scheme"), tuple(f"n = {k}" for k in range(20)), rows, ())
    text = to_latex(table)
    floats = re.findall(r"(?s)\\begin\{tabular\}.*?\\end\{tabular\}", text)
    assert len(floats) == text.count(r"\begin{table") >= 9
    for k in range(100):
        assert text.count(f"t{k} &") == 3
    assert "(1 of " in text


def test_rows_stand_under_their_draft_law() -> None:
    laws = ("with_replacement", "greedy", "with_replacement")
    rows = tuple((("all", law, f"s{k}"), (Interval(0.5),)) for k, law in enumerate(laws))
    text = to_latex(Table("Mean.", ("task", "draft law", "scheme"), ("n = 1",), rows, ()))
    body = text[text.index(r"\midrule") :]
    order = [body.index(each) for each in ("with repl.", "s0", "s2", "greedy", "s1")]
    assert order == sorted(order)
    assert text.count(r"\cmidrule(r)") == 2


def test_the_best_of_a_block_is_bold_and_the_second_underlined(report: Report) -> None:
    """Draft laws compete within a task, draft and temperature; equal values share their rank."""
    text = report.files[1].read_text()
    assert text.count(r"\bfseries") == sum(
        cell.rank == 1 for _, cells in report.table.rows for cell in cells
    )
    assert text.count(r"\underline") == sum(
        cell.rank == 2 for _, cells in report.table.rows for cell in cells
    )
    means = pl.DataFrame(
        {
            **dict.fromkeys(SETTING_COLUMNS, None),
            "task": "qa",
            "draft": "small",
            "temperature": 1.0,
            "draft_temperatures": "1.0",
            "num_drafts": 2,
            "sampling": "with_replacement",
            "scheme": ["bound", "nss", "k_seq", "greedy", "spechub"],
            "mean": [0.9, 0.5, 0.7, 0.7004, 0.6],
            "low": None,
            "high": None,
        }
    )
    ranks = {row[0][-1]: row[1][0].rank for row in acceptance_table(means).rows}
    assert ranks == {"bound": None, "nss": None, "k_seq": 1, "greedy": 1, "spechub": 2}


def test_markdown_rows_have_every_column() -> None:
    lines = to_markdown(NASTY).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(NASTY.rows)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert "<ins>0.500</ins> [0.400, 0.600]" in rows[2]
    assert "**1.000**" in rows[3]
    assert " 0.000 " in rows[4]


def test_csv_keeps_labels_and_leaves_missing_numbers_empty() -> None:
    lines = [line for line in to_csv(NASTY).splitlines(keepends=True) if not line.startswith("#")]
    rows = list(csv.reader(lines))
    assert rows[0][2:5] == ["n = 1", "n = 1 low", "n = 1 high"]
    assert rows[1] == ["a_b|c&d", "50%\nnext", "0.5", "0.4", "0.6", "", "", ""]


def test_bad_input(results: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no such results file"):
        write_report(tmp_path / "none.parquet", tmp_path)
    empty = tmp_path / "empty.parquet"
    metadata = pl.read_parquet_metadata(results)
    pl.read_parquet(results).clear().write_parquet(
        empty, metadata={key: text for key, text in metadata.items() if key != "ARROW:schema"}
    )
    with pytest.raises(CacheError, match="no rows"):
        write_report(empty, tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(results, tmp_path / "file" / "out", bootstrap=QUICK)
