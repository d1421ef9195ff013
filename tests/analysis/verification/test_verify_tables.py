"""The referee of tables: whatever is changed in a report is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.paths.path_results import open_paths
from mdbound.analysis.paths.path_setting import PathGrid
from mdbound.analysis.paths.path_tables import write_path_report
from mdbound.analysis.paths.run_paths import run_on_capture
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import merge_parts, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.origin import sha256
from mdbound.analysis.tables.report import write_report
from mdbound.analysis.verification.verify_tables import verify_tables
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

QUICK = Bootstrap(resamples=100)


@pytest.fixture(scope="module")
def made(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tables")
    grid = SolveGrid(num_drafts=(1, 2), temperatures=(0.7, 1.0), schemes=("k_seq",))
    solve_cache(cache, grid.settings(cache.draft_names), folder / "r.parquet")
    write_report(folder / "r.parquet", folder / "report", bootstrap=QUICK, command="mdbound report")
    return folder / "r.parquet", folder / "report"


@pytest.fixture
def copied(made: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(made[1], tmp_path / "report")
    return made[0], tmp_path / "report"


def test_a_true_report_passes(made: tuple[Path, Path]) -> None:
    found = verify_tables(*made, QUICK)
    assert found.failures == []
    assert found.checks["digests"].rows == 3 + 12
    assert found.checks["tables"].rows == 15
    assert found.checks["means"].rows > 20
    assert found.checks["means"].worst < 1e-12


def _with_digest(folder: Path, name: str) -> None:
    """As a forger would: the digest in the JSON follows the change."""
    for file in folder.glob("*.json"):
        values = json.loads(file.read_text())
        if name in values["files"]:
            values["files"][name] = sha256(folder / name)
            file.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "acceptance.csv",
        "acceptance.tex",
        "acceptance-tasks.tex",
        "acceptance.md",
        "acceptance_by_document.csv",
        "acceptance_long.csv",
    ],
)
def test_one_digit_changed_is_found(copied: tuple[Path, Path], name: str, forged: bool) -> None:
    results, folder = copied
    text = (folder / name).read_text()
    place = max(place for place, char in enumerate(text) if char == "7")
    (folder / name).write_text(text[:place] + "8" + text[place + 1 :])
    if forged:
        _with_digest(folder, name)
    found = verify_tables(results, folder, QUICK)
    checks = {failure.check for failure in found.failures}
    assert "tables" in checks
    assert ("digests" in checks) == (not forged)
    named = [failure for failure in found.failures if failure.check == "tables"]
    assert named[0].row == name or named[0].row.endswith(".json")
    if name.endswith(".csv"):
        assert any("where the results give" in str(failure.claimed) for failure in named)


def test_a_mean_changed_in_all_files_is_found_by_its_sum(copied: tuple[Path, Path]) -> None:
    results, folder = copied
    file = folder / "acceptance_long.csv"
    frame = pl.read_csv(file)
    frame.with_columns(pl.col("mean") * (1.0 + 1e-9)).write_csv(file)
    found = verify_tables(results, folder, QUICK)
    means = [failure for failure in found.failures if failure.check == "means"]
    assert len(means) == frame.height


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "acceptance.csv").unlink(),
        lambda folder: (folder / "acceptance_long.parquet").write_bytes(b"PAR1"),
        lambda folder: (folder / "acceptance.md").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "acceptance.csv").write_text(""),
    ],
    ids=["missing", "damaged", "no text", "empty"],
)
def test_damaged_files_are_found(
    copied: tuple[Path, Path], change: Callable[[Path], object]
) -> None:
    change(copied[1])
    assert {"digests", "tables"} <= {
        failure.check for failure in verify_tables(*copied, QUICK).failures
    }


def test_tables_of_other_rows_are_found(copied: tuple[Path, Path], tmp_path: Path) -> None:
    results, folder = copied
    opened = open_results(results)
    part = tmp_path / "part.parquet"
    opened.frame.with_columns(pl.col("acceptance") * 0.5).collect().write_parquet(part)
    merge_parts([part], tmp_path / "r.parquet", opened.provenance)
    found = verify_tables(tmp_path / "r.parquet", folder, QUICK)
    assert {failure.check for failure in found.failures} == {"digests", "tables", "means"}


def test_damaged_provenance_and_empty_folders_are_named(
    copied: tuple[Path, Path], tmp_path: Path
) -> None:
    results, folder = copied
    (folder / "acceptance.json").write_text("{")
    with pytest.raises(CacheError, match=r"acceptance\.json"):
        verify_tables(results, folder, QUICK)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidSettingError, match="holds no table"):
        verify_tables(results, tmp_path / "empty", QUICK)


def test_reports_of_paths(cache: LogitsCache, tmp_path: Path) -> None:
    grid = PathGrid(lengths=(1, 2), schemes=("block", "match"), drafts=("small",))
    results = tmp_path / "p.parquet"
    run_on_capture(cache, grid, results)
    write_path_report(open_paths(results), tmp_path / "out", bootstrap=QUICK, command="c")
    assert verify_tables(results, tmp_path / "out", QUICK).passed
    file = tmp_path / "out" / "tokens_per_call.csv"
    file.write_text(file.read_text().replace("all", "al", 1))
    assert not verify_tables(results, tmp_path / "out", QUICK).passed
