from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mdbound import bounds
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import RESULT_SCHEMA, merge_parts, open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.verification import verify
from mdbound.analysis.verification.inventory import KEYS, PLACE, wrong_rows
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
    assert found.total == open_results(results).frame.collect().height
    assert found.power == 60 / found.total
    checks = found.checks
    assert checks["rows"].rows == found.total
    assert [checks[name].rows for name in ("columns", "certificate", "entropy")] == [60] * 3
    assert 30 < checks["own set"].rows == checks["highs"].rows < 60
    assert checks["cvxpy"].rows == 3
    assert checks["certificate"].worst < 1e-13
    assert not any(check.skipped for check in checks.values())


def test_all_rows_are_checked_on_demand(cache: LogitsCache, tmp_path: Path) -> None:
    grid = SolveGrid(num_drafts=(1, 2), schemes=("rrs_without_replacement", "importance_sampling"))
    solve_cache(cache, grid.settings(cache.draft_names), tmp_path / "r.parquet")
    found = verify_results(tmp_path / "r.parquet", cache, rows=None, cvxpy_rows=0)
    assert found.passed, found.failures[:3]
    assert found.rows == found.total > 100
    assert found.power == 1.0


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


@pytest.mark.parametrize("error", [1e-11, -1e-11, 1e-4])
def test_a_corrupted_acceptance_is_caught(
    cache: LogitsCache, results: Path, tmp_path: Path, error: float
) -> None:
    wrong = corrupt(
        results,
        tmp_path / "w.parquet",
        lambda frame: frame.with_columns(
            pl.when(pl.col("scheme") == "bound")
            .then(pl.col("acceptance") + error)
            .otherwise("acceptance")
        ),
    )
    found = verify_results(wrong, cache, rows=12, cvxpy_rows=0)
    bounds_drawn = found.checks["own set"].rows
    by_check = [failure.check for failure in found.failures]
    assert by_check.count("certificate") == by_check.count("own set") == bounds_drawn > 4
    assert found.checks["certificate"].worst == pytest.approx(abs(error), rel=1e-2)
    assert found.checks["certificate"].worst_share > 1.0


def drawn(frame: pl.DataFrame) -> pl.Expr:
    """One row that a test changes: a solved bound of two drafts with replacement."""
    chosen = (
        (pl.col("scheme") == "bound")
        & (pl.col("sampling") == "with_replacement")
        & (pl.col("num_drafts") == 2)
        & pl.col("subset_size").is_between(1, 4)
    )
    index = frame.with_row_index().filter(chosen)["index"][3]
    return pl.int_range(pl.len()) == index


def drawn_scheme(frame: pl.DataFrame) -> pl.Expr:
    index = frame.with_row_index().filter(pl.col("scheme") == "k_seq")["index"][5]
    return pl.int_range(pl.len()) == index


OF_BOUNDS = tuple(
    name
    for name in RESULT_SCHEMA
    if name not in ("accept", "standard_error", "top_k", "vocabulary_size", "vocabulary_of")
)


def changed_value(name: str) -> pl.Expr:
    """Another value: 1e-9 off, by one, another name, the other truth."""
    kind = RESULT_SCHEMA[name]
    if kind is pl.Float64:
        return pl.col(name) * (1.0 + 1e-9)
    if kind is pl.Int64:
        return pl.col(name) + 1
    if kind is pl.Boolean:
        return ~pl.col(name)
    return pl.col(name) + "x"


def tampered(
    results: Path,
    out: Path,
    row: Callable[[pl.DataFrame], pl.Expr],
    **values: pl.Expr,
) -> Path:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        at = row(frame)
        return frame.with_columns(
            pl.when(at).then(value).otherwise(pl.col(name)).cast(RESULT_SCHEMA[name]).alias(name)
            for name, value in values.items()
        )

    return corrupt(results, out, change)


def failures_of(path: Path, cache: LogitsCache) -> set[str]:
    """Checks that fail when every row is looked at, without programs."""
    try:
        found = verify_results(path, cache, rows=None, cvxpy_rows=0)
    except CacheError as error:
        return {f"refused: {error}"}
    return {failure.check for failure in found.failures}


@pytest.fixture(scope="module")
def small(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of few rows, so that all can be looked at again and again."""
    out = tmp_path_factory.mktemp("small") / "r.parquet"
    grid = SolveGrid(
        sampling=("with_replacement",),
        num_drafts=(1, 2),
        draft_temperatures=(1.3,),
        drafts=("small",),
        min_p=(0.001,),
        top_p=(0.95,),
        schemes=("k_seq",),
    )
    solve_cache(cache, grid.settings(cache.draft_names), out)
    assert failures_of(out, cache) == set()
    return out


@pytest.mark.parametrize("name", OF_BOUNDS)
def test_a_column_of_a_bound_changed_alone_is_caught(
    cache: LogitsCache, small: Path, tmp_path: Path, name: str
) -> None:
    out = tampered(small, tmp_path / "w.parquet", drawn, **{name: changed_value(name)})
    assert failures_of(out, cache)


@pytest.mark.parametrize("name", ["acceptance", "accept", "target_entropy", "scheme"])
def test_a_column_of_a_scheme_changed_alone_is_caught(
    cache: LogitsCache, small: Path, tmp_path: Path, name: str
) -> None:
    out = tampered(small, tmp_path / "w.parquet", drawn_scheme, **{name: changed_value(name)})
    assert failures_of(out, cache)


@pytest.mark.parametrize("name", [each for each in OF_BOUNDS if each not in PLACE])
def test_a_value_made_null_is_found_in_the_file(
    cache: LogitsCache, small: Path, tmp_path: Path, name: str
) -> None:
    out = tampered(small, tmp_path / "w.parquet", drawn, **{name: pl.lit(None)})
    found = failures_of(out, cache)
    # An acceptance alone may be null where no solver reaches it: solving again tells.
    assert found & {"rows", "columns"} or any(each.startswith("refused") for each in found)


@pytest.mark.parametrize("bound", [0.0, 1.0, np.inf])
def test_the_stated_error_is_not_believed(
    cache: LogitsCache, small: Path, tmp_path: Path, bound: float
) -> None:
    wrong = {"acceptance": pl.col("acceptance") * 0.5, "error_bound": pl.lit(bound)}
    found = failures_of(tampered(small, tmp_path / "w.parquet", drawn, **wrong), cache)
    assert {"certificate", "columns", "own set"} <= found
    alone = tampered(small, tmp_path / "e.parquet", drawn, error_bound=pl.lit(bound))
    assert failures_of(alone, cache) == {"rows", "columns"}


def test_masses_moved_together_are_caught(cache: LogitsCache, small: Path, tmp_path: Path) -> None:
    moved = {name: pl.col(name) + 1e-6 for name in ("target_mass", "containment")}
    assert failures_of(tampered(small, tmp_path / "w.parquet", drawn, **moved), cache) == {
        "columns"
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.filter(~drawn(frame)),
        lambda frame: pl.concat([frame, frame.filter(drawn(frame))]),
        lambda frame: frame.head(frame.height // 2),
        lambda frame: frame.with_columns(
            pl.when(drawn(frame)).then(1).otherwise("num_drafts").alias("num_drafts")
        ),
        lambda frame: frame.with_columns(
            pl.when(drawn(frame)).then(pl.lit("k_seq")).otherwise(pl.col("scheme")).alias("scheme")
        ),
        lambda frame: frame.with_columns(
            pl.when(drawn(frame))
            .then(pl.lit("greedy"))
            .otherwise(pl.col("sampling"))
            .alias("sampling")
        ),
        lambda frame: frame.with_columns(
            pl.when(drawn(frame)).then(0).otherwise("doc_id").alias("doc_id")
        ),
    ],
    ids=["dropped", "doubled", "half", "n", "scheme", "law", "document"],
)
def test_rows_dropped_doubled_and_relabelled_are_found_without_a_draw(
    cache: LogitsCache,
    small: Path,
    tmp_path: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame],
) -> None:
    path = corrupt(small, tmp_path / "w.parquet", change)
    assert list(wrong_rows(open_results(path), cache))


def test_two_rows_swapped_are_caught(cache: LogitsCache, small: Path, tmp_path: Path) -> None:
    """Values of one row under the name of another: every row is there, once."""

    def swap(frame: pl.DataFrame) -> pl.DataFrame:
        values = [name for name in frame.columns if name not in KEYS]
        bound = frame.with_row_index().filter(
            pl.col("scheme") == "bound", pl.col("num_drafts") == 2
        )
        one, other = bound["index"][2], bound["index"][9]
        order = list(range(frame.height))
        order[one], order[other] = other, one
        return frame.select(
            frame[order][name] if name in values else frame[name] for name in frame.columns
        )

    path = corrupt(small, tmp_path / "w.parquet", swap)
    assert list(wrong_rows(open_results(path), cache)) == []
    assert {"columns", "certificate"} <= failures_of(path, cache)


def test_a_rate_above_the_optimum_is_contradicted_by_the_certificate(
    cache: LogitsCache, small: Path, tmp_path: Path
) -> None:
    path = tampered(small, tmp_path / "w.parquet", drawn_scheme, acceptance=pl.lit(0.999999))
    assert {"columns", "certificate"} <= failures_of(path, cache)


def test_a_consistent_lie_is_caught_by_the_certificate(
    cache: LogitsCache, results: Path, tmp_path: Path
) -> None:
    """Acceptance and mass moved together: only the optimum itself tells."""

    def lie(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.col("acceptance") + 1e-6, pl.col("target_mass") + 1e-6)

    found = verify_results(corrupt(results, tmp_path / "w.parquet", lie), cache, rows=9)
    by_check = [failure.check for failure in found.failures]
    assert by_check.count("certificate") >= found.checks["own set"].rows > 3
    assert "own set" not in by_check


def test_a_wrong_solver_is_caught_by_the_programs(
    cache: LogitsCache, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = bounds.optimal_acceptance
    monkeypatch.setattr(bounds, "optimal_acceptance", lambda *problem: right(*problem) - 1e-8)
    found = verify_results(results, cache, rows=8, cvxpy_rows=2)
    highs = [failure.check for failure in found.failures].count("highs")
    assert highs == found.checks["highs"].rows > 3
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
    empty = corrupt(results, tmp_path / "e.parquet", lambda frame: frame.head(0))
    with pytest.raises(CacheError, match="holds no rows"):
        verify_results(empty, cache)


def test_nan_is_a_contradiction(cache: LogitsCache, results: Path, tmp_path: Path) -> None:
    wrong = corrupt(
        results,
        tmp_path / "n.parquet",
        lambda frame: frame.with_columns(pl.lit(np.nan).alias("containment")),
    )
    found = verify_results(wrong, cache, rows=4, cvxpy_rows=0)
    assert {failure.check for failure in found.failures} == {"rows", "columns", "own set"}
