from __future__ import annotations

import csv
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import SETTING_COLUMNS, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.csv_markdown import to_csv, to_markdown
from mdbound.analysis.tables.latex import to_latex
from mdbound.analysis.tables.report import Report, write_report
from mdbound.analysis.tables.table import Interval, Table, acceptance_table
from mdbound.errors import CacheError, OutputError
from mdbound.logits_cache.store.cache import LogitsCache

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


def test_every_format_says_where_it_comes_from(report: Report, results: Path) -> None:
    names = [
        f"{stem}.{kind}"
        for stem in ("acceptance", "acceptance_by_document")
        for kind in ("csv", "tex", "md")
    ]
    names += ["acceptance_long.csv", "acceptance_long.parquet"]
    assert [file.name for file in report.files] == names
    identity = open_results(results).provenance.capture_identity
    for file in report.files:
        parquet = file.suffix == ".parquet"
        text = pl.read_parquet_metadata(file)["notes"] if parquet else file.read_text("utf-8")
        for part in (identity, "mdbound 0.", "6 documents, 24 positions", "seed 3", "numpy"):
            assert part in text, (file.name, part)
        assert "Fewer than 20 documents" in text
        assert re.search(r"mdbound solve a\\?_b", text)
        assert "mdbound report r.parquet" in text


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
    wide = pl.read_csv(report.files[0], comment_prefix="#")
    long = pl.read_csv(report.files[6], comment_prefix="#")
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
    body = text.partition(r"\makeatother")[2] or text
    live = "\n".join(line for line in body.splitlines() if not line.startswith("%"))
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
    for text in (report.files[1].read_text(), to_latex(NASTY)):
        assert_balanced(text)
        columns = re.search(r"\\begin\{longtable\}\{(l+)((?:S\[table-format=[-\d.()]+\])+)\}", text)
        assert columns
        count = len(columns[1]) + columns[2].count("S[")
        rows = re.findall(r"^([^%].*[^\\]&.*) \\\\$", text, flags=re.MULTILINE)
        assert len(rows) > 3
        for line in rows:
            assert len(re.findall(r"(?<!\\)&", line)) == count - 1, line


def test_the_balance_check_can_fail() -> None:
    for broken in ("a_b", "{", "}", "$x", r"\begin{a}\end{b}"):
        with pytest.raises(AssertionError):
            assert_balanced(broken)


def compiled(folder: Path, name: str, text: str) -> str:
    """Compile a document as it stands; return the engine's log."""
    (folder / f"{name}.tex").write_text(text)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / f"{name}.pdf").exists()
    return done.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine on this machine")
def test_latex_compiles_as_it_stands(report: Report, tmp_path: Path) -> None:
    for name, text in (("report", report.files[1].read_text()), ("nasty", to_latex(NASTY))):
        assert "Overfull" not in compiled(tmp_path, name, text)
        # The same where siunitx is missing, and where it is there in an old version.
        without = text.replace("IfFileExists{siunitx.sty}", "IfFileExists{no-such-file.sty}")
        assert "Overfull" not in compiled(tmp_path, f"{name}-without", without)


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
