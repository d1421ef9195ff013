from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.statistics.bootstrap import Bootstrap
from mdbound.analysis.tables.comparison import MEASURES, compare, compare_schemes, paired_rows
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache

QUICK = Bootstrap(resamples=199)
GRID = SolveGrid(
    sampling=("with_replacement", "without_replacement", "greedy"),
    temperatures=(0.7, 1.0),
    num_drafts=(1, 2, 3),
    drafts=("small",),
    schemes=("all",),
    scheme_samples=40,
)


@pytest.fixture(scope="module")
def results(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "r.parquet"
    return solve_cache(cache, GRID.settings(cache.draft_names), out).path


@pytest.fixture(scope="module")
def means(results: Path) -> pl.DataFrame:
    return compare_schemes(open_results(results).frame, QUICK)


def test_no_exact_rate_exceeds_its_bound_at_any_position(results: Path) -> None:
    rows = paired_rows(open_results(results).frame).collect()
    exact = rows.filter(pl.col("standard_error") == 0)
    assert exact.height > 1000
    assert exact["gap"].null_count() == 0
    assert exact["gap"].min() >= -1e-9  # type: ignore[operator]
    assert exact["possible"].min() >= -1e-9  # type: ignore[operator]


def test_one_cell_against_the_rows_it_is_made_of(results: Path, means: pl.DataFrame) -> None:
    key = {"temperature": 0.7, "sampling": "with_replacement"}
    rows = open_results(results).frame.filter(**key).collect()

    def column(scheme: str, n: int) -> np.ndarray:
        return rows.filter(scheme=scheme, num_drafts=n)["acceptance"].to_numpy()

    bound, single, rate = column("bound", 2), column("bound", 1), column("k_seq", 2)
    cell = means.filter(task="all", scheme="k_seq", num_drafts=2, **key).row(0, named=True)
    expected = {
        "bound": bound.mean(),
        "single": single.mean(),
        "rate": rate.mean(),
        "gap": (bound - rate).mean(),
        "share": (rate - single).sum() / (bound - single).sum(),
        "optimal": (bound - rate <= 1e-9).mean(),
        "optimal_positions": (bound - rate <= 1e-9).sum(),
        "estimated": 0,
        "positions": 24,
        "documents": 6,
    }
    assert {name: cell[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    documents = np.arange(24) // 4
    per_document = [rate[documents == each].mean() for each in range(6)]
    assert cell["document_rate"] == pytest.approx(np.mean(per_document), abs=1e-12)


def test_the_interval_of_a_gap_is_paired(means: pl.DataFrame) -> None:
    """Narrower than the interval of the rate alone: documents differ more than the schemes.

    Unpaired it would be wider than that, by the bound's.
    """
    cell = means.filter(task="all", scheme="rrs_with_replacement", num_drafts=3, temperature=1.0)
    rate = cell["rate_high"].item() - cell["rate_low"].item()
    gap = cell["gap_high"].item() - cell["gap_low"].item()
    assert 0 < gap < 0.8 * rate
    assert cell["share_low"].item() < cell["share"].item() < cell["share_high"].item()


def test_the_optimal_scheme_realises_everything(means: pl.DataFrame) -> None:
    optimal = means.filter(scheme="optimal")
    assert optimal["gap"].abs().max() <= 1e-12  # type: ignore[operator]
    assert (optimal["optimal"] == 1.0).all()
    gained = optimal.filter(pl.col("num_drafts") > 1)
    assert (gained["share"] - 1.0).abs().max() <= 1e-9  # type: ignore[operator]


def test_one_draft_has_nothing_to_gain(means: pl.DataFrame) -> None:
    one = means.filter(num_drafts=1)
    assert one.height > 0
    assert one["share"].null_count() == one.height
    assert (one.filter(scheme="single_draft")["optimal"] == 1.0).all()


def test_estimates_are_neither_optimal_nor_not(means: pl.DataFrame, results: Path) -> None:
    rows = open_results(results).frame.filter(pl.col("standard_error") > 0).collect()
    counted = means.filter(task="all")["estimated"].sum()
    assert counted == rows.height
    assert (means["optimal_positions"] <= means["positions"] - means["estimated"]).all()


def test_files_hold_every_measure_and_do_not_change(results: Path, tmp_path: Path) -> None:
    first = compare(results, tmp_path, bootstrap=QUICK, command="mdbound compare r.parquet")
    kinds = (".csv", ".tex", "-tasks.tex", "-standalone.tex", ".md", ".json")
    names = [f"{name}{kind}" for name in MEASURES for kind in kinds]
    assert [file.name for file in first.files] == [
        *names,
        "comparison.csv",
        "comparison.parquet",
        "comparison.json",
    ]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in first.files}
    compare(results, tmp_path, bootstrap=QUICK, command="mdbound compare r.parquet")
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in first.files} == before
    for table in first.tables:
        assert any("Fewer than 20 documents" in note for note in table.notes)
    gaps = dict(zip(MEASURES, first.tables, strict=True))["gaps"]
    ranks = [(row[1][-1].mean, row[1][-1].rank) for row in gaps.rows if row[0][0] == "all"]
    assert min(mean for mean, _ in ranks if mean is not None) in {m for m, r in ranks if r == 1}
    assert compare(results, bootstrap=QUICK).files == ()


def test_without_n_1_there_is_no_share_and_a_note(cache: LogitsCache, tmp_path: Path) -> None:
    grid = SolveGrid(
        sampling=("with_replacement",), num_drafts=(2,), drafts=("small",), schemes=("k_seq",)
    )
    out = tmp_path / "r.parquet"
    solve_cache(cache, grid.settings(cache.draft_names), out)
    found = compare(out, bootstrap=QUICK)
    assert found.means["share"].null_count() == found.means.height
    assert "n = 1 was not solved" in found.tables[0].notes[0]


def test_results_without_schemes_are_refused(cache: LogitsCache, tmp_path: Path) -> None:
    grid = SolveGrid(sampling=("greedy",), num_drafts=(1,))
    out = tmp_path / "r.parquet"
    solve_cache(cache, grid.settings(cache.draft_names), out)
    with pytest.raises(CacheError, match=r"no schemes.*`schemes` all"):
        compare(out)
