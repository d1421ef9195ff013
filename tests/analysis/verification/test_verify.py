from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import bounds
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import merge_parts, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.verification import verify
from mdbound.analysis.verification.verify import verify_results
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

pytest.importorskip("flint")
pytest.importorskip("cvxpy")

GRID = SolveGrid(
    sampling=("with_replacement", "without_replacement", "greedy", "independent"),
    temperatures=(0.7,),
    draft_temperatures=(1.3,),
    top_k=(None, 5),
    top_p=(0.95,),
    vocabulary_sizes=(None, 8),
    num_drafts=(1, 2),
    schemes=("k_seq",),
)


@pytest.fixture(scope="module")
def results(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verify") / "r.parquet"
    solve_cache(cache, GRID.settings(cache.draft_names), out)
    return out


def corrupt(results: Path, out: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    """The same file with other values, as a wrong solver would have written it."""
    opened = open_results(results)
    part = out.with_suffix(".part")
    change(opened.frame.collect()).write_parquet(part)
    merge_parts([part], out, opened.provenance)
    return out


def test_correct_results_pass_every_check(cache: LogitsCache, results: Path) -> None:
    found = verify_results(results, cache, rows=60, cvxpy_rows=3)
    assert found.failures == []
    assert found.passed
    assert found.rows == 60
    assert [found.checks[name].rows for name in verify.CHECKS] == [60, 60, 60, 3]
    assert found.checks["certificate"].worst < 1e-13
    assert not any(check.skipped for check in found.checks.values())


@pytest.mark.parametrize("law", GRID.sampling)
def test_three_drafts_of_every_law_pass(cache: LogitsCache, tmp_path: Path, law: str) -> None:
    temperatures = (1.0, 1.3, 0.8)
    grid = SolveGrid(
        sampling=(law,), num_drafts=(3,), draft_temperatures=temperatures, drafts=("small",)
    )
    solve_cache(cache, grid.settings(cache.draft_names), tmp_path / "r.parquet")
    found = verify_results(tmp_path / "r.parquet", cache, rows=12, cvxpy_rows=1)
    assert found.failures == []
    assert found.checks["certificate"].rows == 12


@pytest.mark.parametrize("error", [1e-11, -1e-11, 0.1])
def test_a_corrupted_acceptance_is_caught(
    cache: LogitsCache, results: Path, tmp_path: Path, error: float
) -> None:
    wrong = corrupt(
        results,
        tmp_path / "w.parquet",
        lambda frame: frame.with_columns(pl.col("acceptance") + error),
    )
    found = verify_results(wrong, cache, rows=6, cvxpy_rows=0)
    assert {failure.check for failure in found.failures} == {"certificate", "own set"}
    assert len(found.failures) == 12
    assert found.checks["certificate"].worst == pytest.approx(abs(error), rel=1e-2)
    assert found.checks["certificate"].worst_share > 1.0


def test_a_consistent_lie_is_caught_by_the_certificate(
    cache: LogitsCache, results: Path, tmp_path: Path
) -> None:
    """Acceptance and mass moved together: only the optimum itself tells."""

    def lie(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.col("acceptance") + 1e-6, pl.col("target_mass") + 1e-6)

    found = verify_results(corrupt(results, tmp_path / "w.parquet", lie), cache, rows=5)
    assert [failure.check for failure in found.failures] == ["certificate"] * 5


def test_a_wrong_solver_is_caught_by_the_programs(
    cache: LogitsCache, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = bounds.optimal_acceptance
    monkeypatch.setattr(bounds, "optimal_acceptance", lambda *problem: right(*problem) - 1e-8)
    found = verify_results(results, cache, rows=4, cvxpy_rows=2)
    assert [failure.check for failure in found.failures].count("highs") == 4
    assert [failure.check for failure in found.failures].count("cvxpy") == 2


def test_the_sample_is_seeded_and_limited(cache: LogitsCache, results: Path) -> None:
    names = [
        [row.name for row in verify.sample_rows(open_results(results), cache, 9, seed)]
        for seed in (0, 0, 1)
    ]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 9


def test_missing_extras_are_reported_not_ignored(
    cache: LogitsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = SolveGrid(sampling=("without_replacement",), num_drafts=(3,))
    solve_cache(cache, grid.settings(cache.draft_names), tmp_path / "r.parquet")
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    found = verify_results(tmp_path / "r.parquet", cache, rows=3, cvxpy_rows=3)
    assert found.passed
    assert found.checks["certificate"].rows == 0
    assert sum(found.checks["certificate"].skipped.values()) == 3
    assert "mdbound[lp]" in next(iter(found.checks["cvxpy"].skipped))


def test_another_capture_and_bad_numbers_are_refused(
    cache: LogitsCache, results: Path, new_cache: Callable[..., LogitsCache], tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettingError, match="another capture"):
        verify_results(results, new_cache(rows=8))
    with pytest.raises(InvalidSettingError, match="`rows` 0"):
        verify_results(results, cache, rows=0)
    with pytest.raises(InvalidSettingError, match="`cvxpy_rows` -1"):
        verify_results(results, cache, cvxpy_rows=-1)
    moved = corrupt(
        results, tmp_path / "m.parquet", lambda frame: frame.with_columns(pl.col("doc_id") + 1000)
    )
    with pytest.raises(CacheError, match="holds document 10"):
        verify_results(moved, cache)
    empty = corrupt(
        results,
        tmp_path / "e.parquet",
        lambda frame: frame.with_columns(pl.lit(None, pl.Float64).alias("acceptance")),
    )
    with pytest.raises(CacheError, match="no solved bound"):
        verify_results(empty, cache)


def test_nan_is_a_contradiction(cache: LogitsCache, results: Path, tmp_path: Path) -> None:
    wrong = corrupt(
        results,
        tmp_path / "n.parquet",
        lambda frame: frame.with_columns(pl.lit(np.nan).alias("containment")),
    )
    found = verify_results(wrong, cache, rows=2, cvxpy_rows=0)
    assert [failure.check for failure in found.failures] == ["own set"] * 2
