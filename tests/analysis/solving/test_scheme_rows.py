from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mdbound import bounds, schemes
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import SETTING_COLUMNS, open_results
from mdbound.analysis.solving.scheme_settings import left_out
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

GRID = SolveGrid(
    sampling=("with_replacement", "without_replacement", "greedy", "independent"),
    temperatures=(0.7, 1.0),
    num_drafts=(1, 2, 3),
    vocabulary_sizes=(None, 4),
    schemes=("all",),
    scheme_samples=50,
)
HERE = ("doc_id", "position", *(name for name in SETTING_COLUMNS if name != "scheme"))


def solved(cache: LogitsCache, grid: SolveGrid, out: Path, **options: Any) -> pl.DataFrame:
    solve_cache(cache, grid.settings(cache.draft_names), out, **options)
    return open_results(out).frame.collect()


@pytest.fixture(scope="module")
def rows(cache: LogitsCache, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return solved(cache, GRID, tmp_path_factory.mktemp("schemes") / "r.parquet", batch_rows=5)


@pytest.fixture(scope="module")
def beside_bound(rows: pl.DataFrame) -> pl.DataFrame:
    """Scheme rows with the bound of their position, draft law and n."""
    bound = rows.filter(pl.col("scheme") == "bound").select(
        *HERE, pl.col("acceptance").alias("bound")
    )
    rated = rows.filter(pl.col("scheme") != "bound")
    return rated.join(bound, on=HERE, how="left", nulls_equal=True)


def test_every_scheme_is_rated_on_its_law(rows: pl.DataFrame) -> None:
    found = rows.filter(pl.col("scheme") != "bound").select("scheme", "sampling").unique()
    assert set(found["scheme"]) == set(schemes.names())
    for name, law in found.iter_rows():
        scheme = schemes.get(name)
        assert law in (scheme.sampling, "independent")
    assert not rows.select(*HERE, "scheme").is_duplicated().any()


def test_no_exact_rate_exceeds_its_bound(beside_bound: pl.DataFrame) -> None:
    assert beside_bound["bound"].null_count() == 0
    exact = beside_bound.filter(pl.col("standard_error") == 0)
    assert (exact["acceptance"] <= exact["bound"] + 1e-9).all()
    assert exact["scheme"].n_unique() == len(schemes.names())
    estimated = beside_bound.filter(pl.col("standard_error") > 0)
    assert (
        estimated["acceptance"] <= estimated["bound"] + 6 * estimated["standard_error"] + 1e-9
    ).all()


def test_the_optimal_scheme_has_no_gap(beside_bound: pl.DataFrame) -> None:
    optimal = beside_bound.filter(pl.col("scheme") == "optimal")
    assert ((optimal["acceptance"] - optimal["bound"]).abs() <= 1e-12).all()


def test_accept_event_is_at_most_membership(beside_bound: pl.DataFrame) -> None:
    assert (beside_bound["accept"] <= beside_bound["acceptance"] + 1e-12).all()
    for name in ("subset_size", "containment", "error_bound", "equals_one"):
        assert beside_bound[name].null_count() == beside_bound.height


def test_a_row_is_the_rate_of_its_position(cache: LogitsCache, rows: pl.DataFrame) -> None:
    logits = [batch.logits for batch in cache.iter_batches()]
    rows = rows.filter(pl.col("scheme").is_in(["k_seq", "spechub", "rrs_with_replacement"]))
    for row in rows.filter(pl.col("sampling") != "independent").sample(40, seed=1).to_dicts():
        at = row["doc_id"] * 4 + row["position"]
        target, draft = (
            np.concatenate([batch[name] for batch in logits])[at].copy()
            for name in ("target", row["draft"])
        )
        if row["vocabulary_size"]:
            dropped = np.argsort(-target)[row["vocabulary_size"] :]
            target[dropped] = draft[dropped] = -np.inf
        rate = schemes.get(row["scheme"]).acceptance(
            bounds.distribution_from_logits(target, row["temperature"]),
            bounds.distribution_from_logits(draft, row["temperature"]),
            row["num_drafts"],
        )
        assert row["acceptance"] == pytest.approx(float(rate.membership), abs=1e-12)
        assert row["accept"] == pytest.approx(float(rate.accept), abs=1e-12)


def test_batches_do_not_change_estimates(
    cache: LogitsCache, rows: pl.DataFrame, tmp_path: Path
) -> None:
    assert solved(cache, GRID, tmp_path / "r.parquet", batch_rows=1000).equals(rows)


def test_samples_and_seed_reach_the_scheme(cache: LogitsCache) -> None:
    grid = SolveGrid(schemes=("importance_sampling", "nss"), scheme_samples=9, scheme_seed=5)
    options = {each.scheme: dict(each.scheme_options) for each in grid.settings(["small"])}
    assert options["importance_sampling"] == {"seed": 5, "runs": 9}
    assert options["nss"] == {}


def test_what_is_left_out_is_named() -> None:
    settings = SolveGrid(num_drafts=(1, 2, 3), schemes=("all",)).settings(["small"])
    reasons = {each.scheme: each.reason for each in left_out(settings, ["all"])}
    assert "add that to `sampling`" in reasons["greedy"]
    assert reasons["single_draft"] == "not defined for n = 2, 3"
    assert "k_seq" not in reasons


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (SolveGrid(schemes=("k_sek",)), "did you mean 'k_seq'"),
        (SolveGrid(schemes=("greedy",)), "`schemes` greedy: .*`sampling`"),
        (SolveGrid(schemes=("single_draft",), num_drafts=(2,)), "not defined for n = 2"),
        (SolveGrid(schemes=("all",), scheme_samples=1), "`scheme_samples` 1"),
        (SolveGrid(schemes=("all",), scheme_seed=-1), "`scheme_seed` -1"),
        (SolveGrid(vocabulary_sizes=(0,)), "`vocabulary_sizes` 0"),
        (SolveGrid(vocabulary_of="both"), "`vocabulary_of` 'both' is unknown: .*target, draft"),
    ],
)
def test_what_cannot_be_rated_is_refused(grid: SolveGrid, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        grid.settings(["small"])


def test_the_draft_can_choose_the_vocabulary(cache: LogitsCache, tmp_path: Path) -> None:
    sizes = {"num_drafts": (1,), "sampling": ("with_replacement",), "drafts": ("small",)}
    full = solved(cache, SolveGrid(**sizes), tmp_path / "full.parquet")
    everything = SolveGrid(**sizes, vocabulary_sizes=(12,), vocabulary_of="draft")
    same = solved(cache, everything, tmp_path / "same.parquet")
    assert (full["acceptance"] - same["acceptance"]).abs().max() <= 1e-12
    one = SolveGrid(**sizes, vocabulary_sizes=(1,), vocabulary_of="draft")
    assert (solved(cache, one, tmp_path / "one.parquet")["acceptance"] == 1.0).all()


def test_settings_are_the_bound_unless_they_say_so() -> None:
    assert SolveSetting("greedy", ("small",), bounds.Warpers(), (1.0,)).scheme == "bound"
