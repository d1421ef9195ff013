"""Results of other versions: older ones are read as the documentation says, others refused.

`data/results_v2.parquet` was solved, from the cache beside the tests of captures, before warpers
were recorded, and `data/results_v3.parquet` before there was min-p.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mdbound.analysis import RESULT_SCHEMA, SolveGrid, SolveSetting, open_results, solve_cache
from mdbound.analysis.solving.results import RESULTS_FORMAT, Provenance, merge_parts
from mdbound.analysis.verification.verify_rows import sample_rows
from mdbound.bounds import Warpers
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import LogitsCache

DATA = Path(__file__).parent / "data"
RESULTS_V2 = DATA / "results_v2.parquet"
OLDER = (RESULTS_V2, DATA / "results_v3.parquet")
CACHE = LogitsCache.open(Path(__file__).parents[2] / "logits_cache/store/data/cache_v1")

SAME_GRID = SolveGrid(
    sampling=("with_replacement", "independent"),
    temperatures=(0.7,),
    draft_temperatures=(1.0, 1.2),
    top_k=(None, 9),
    num_drafts=(1, 2),
    schemes=("k_seq", "nss"),
)
"""What it was solved for."""


@pytest.fixture(params=OLDER, ids=lambda path: path.stem)
def older(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def results(older: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(older, tmp_path / "r.parquet"))


def test_older_versions_are_read_with_their_warpers(older: Path) -> None:
    provenance = open_results(older).provenance
    assert {"warpers", "draft_temperatures"} < set(provenance.settings[0])
    assert not {"temperature", "top_k", "top_p"} & set(provenance.settings[0])
    settings = [SolveSetting.from_dict(each) for each in provenance.settings]
    assert settings == list(SAME_GRID.settings(["small"]))
    assert {each.warpers for each in settings} == {Warpers(0.7), Warpers(0.7, top_k=9)}


def test_the_same_command_finds_nothing_left_to_do(results: Path) -> None:
    before = results.read_bytes()
    summary = solve_cache(CACHE, SAME_GRID.settings(["small"]), results)
    assert (summary.resumed, summary.positions, summary.rows) == (6, 6, 192)
    assert results.read_bytes() == before


def test_another_setting_is_still_another_run(results: Path) -> None:
    other = SolveGrid(**{**SAME_GRID.__dict__, "top_k": (None, 8)})
    with pytest.raises(InvalidSettingError, match="top_k was 9, now 8"):
        solve_cache(CACHE, other.settings(["small"]), results)


def test_the_column_that_came_later_is_null_and_in_its_place(older: Path) -> None:
    assert "min_p" not in pl.read_parquet_schema(older)
    rows = open_results(older).frame.collect()
    assert rows.schema == pl.Schema(RESULT_SCHEMA)
    assert rows["min_p"].null_count() == rows.height == 192


def test_parts_of_an_older_version_are_joined_with_newer_ones(tmp_path: Path) -> None:
    """A run that version 3 began: its parts lack the column, those of this one have it."""
    old = pl.read_parquet(OLDER[1])
    new = open_results(OLDER[1]).frame.collect().with_columns(min_p=0.25)
    parts = [tmp_path / "part-00000.parquet", tmp_path / "part-00001.parquet"]
    for part, rows in zip(parts, (old, new), strict=True):
        rows.write_parquet(part)
    merge_parts(parts, tmp_path / "r.parquet", open_results(OLDER[1]).provenance)
    found = open_results(tmp_path / "r.parquet").frame.collect()
    assert found["min_p"].to_list() == [None] * 192 + [0.25] * 192
    assert found.drop("min_p").equals(pl.concat([old, old]))


def test_rows_of_min_p_are_those_of_the_distributions(tmp_path: Path) -> None:
    grid = SolveGrid(num_drafts=(1, 3), min_p=(None, 0.0, 0.2), sampling=("with_replacement",))
    path = solve_cache(CACHE, grid.settings(["small"]), tmp_path / "r.parquet").path
    rows = open_results(path).frame.collect()
    assert [each["warpers"]["min_p"] for each in open_results(path).provenance.settings] == [
        None, 0.0, 0.2,
    ]  # fmt: skip
    (batch,) = CACHE.iter_batches()
    assert batch.logits["target"].shape[0] == 6
    for min_p in (0.0, 0.2):
        p, q = (softmax_above(batch.logits[name], min_p) for name in ("target", "small"))
        found = rows.filter(pl.col("min_p") == min_p, num_drafts=1)["acceptance"]
        np.testing.assert_allclose(found, np.minimum(p, q).sum(axis=1), rtol=0, atol=1e-13)
    whole, none = (rows.filter(kept)["acceptance"] for kept in (pl.col("min_p") == 0.0, NO_MIN_P))
    assert (whole - none).abs().max() <= 1e-12
    assert (rows.filter(pl.col("min_p") == 0.2)["acceptance"] - none).abs().max() > 0.01


NO_MIN_P = pl.col("min_p").is_null()


def softmax_above(logits: NDArray[np.float32], min_p: float) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    powers[powers < min_p] = 0.0
    return powers / powers.sum(axis=1, keepdims=True)


def test_an_interrupted_run_of_version_2_goes_on(tmp_path: Path) -> None:
    """Its parts say what is solved as the results of version 2 do."""
    old = open_results(RESULTS_V2).provenance
    flat = [{**each.pop("warpers"), **each} for each in old.settings]
    assert all(each.pop("min_p", "") is None for each in flat)
    assert "temperature" in flat[0]
    read = Provenance.from_dict({**old.__dict__, "settings": flat})
    assert read.first_difference(open_results(RESULTS_V2).provenance) is None


def test_solved_again_every_row_is_the_same(older: Path, tmp_path: Path) -> None:
    summary = solve_cache(CACHE, SAME_GRID.settings(["small"]), tmp_path / "again.parquet")
    again = open_results(summary.path)
    assert pl.read_parquet_metadata(summary.path)["mdbound_format"] == str(RESULTS_FORMAT.newest)
    assert again.provenance.first_difference(open_results(older).provenance) is None
    old, new = open_results(older).frame.collect(), again.frame.collect()
    assert old.schema == new.schema
    for name in old.columns:
        if old[name].dtype == pl.Float64:
            assert old[name].is_null().equals(new[name].is_null()), name
            assert (old[name] - new[name]).abs().fill_null(0.0).max() <= 1e-12, name
        elif name != "subset_size":
            assert old[name].equals(new[name]), name


def test_rows_of_older_versions_find_their_settings(older: Path) -> None:
    rows = list(sample_rows(open_results(older), CACHE, 12, seed=1))
    assert len(rows) == 12
    assert {len(row.target) for row in rows} == {258}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1", "results format 1, this mdbound reads 2 to 4: solve the capture again"),
        ("5", "results format 5, this mdbound reads 2 to 4: a newer mdbound wrote it; install"),
        ("two", "results format 'two', this mdbound reads 2 to 4: solve"),
    ],
)
def test_other_versions_are_refused_with_both(tmp_path: Path, version: str, message: str) -> None:
    path = tmp_path / "r.parquet"
    metadata = {**pl.read_parquet_metadata(RESULTS_V2), "mdbound_format": version}
    pl.read_parquet(RESULTS_V2).write_parquet(path, metadata=metadata)
    with pytest.raises(CacheError, match=message):
        open_results(path)
