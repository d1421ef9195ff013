"""Results of other versions: older ones are read as the documentation says, others refused.

`data/results_v2.parquet` was solved, from the cache beside the tests of captures, before warpers
were recorded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis import SolveGrid, SolveSetting, open_results, solve_cache
from mdbound.analysis.solving.results import RESULTS_FORMAT, Provenance
from mdbound.analysis.verification.verify_rows import sample_rows
from mdbound.bounds import Warpers
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import LogitsCache

RESULTS_V2 = Path(__file__).parent / "data" / "results_v2.parquet"
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


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return Path(shutil.copy(RESULTS_V2, tmp_path / "r.parquet"))


def test_version_2_is_read_with_its_warpers() -> None:
    provenance = open_results(RESULTS_V2).provenance
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


def test_an_interrupted_run_of_version_2_goes_on(tmp_path: Path) -> None:
    """Its parts say what is solved as the results of version 2 do."""
    old = open_results(RESULTS_V2).provenance
    flat = [{**each.pop("warpers"), **each} for each in old.settings]
    assert "temperature" in flat[0]
    read = Provenance.from_dict({**old.__dict__, "settings": flat})
    assert read.first_difference(open_results(RESULTS_V2).provenance) is None


def test_solved_again_every_row_is_the_same(tmp_path: Path) -> None:
    summary = solve_cache(CACHE, SAME_GRID.settings(["small"]), tmp_path / "again.parquet")
    again = open_results(summary.path)
    assert pl.read_parquet_metadata(summary.path)["mdbound_format"] == str(RESULTS_FORMAT.newest)
    assert again.provenance.first_difference(open_results(RESULTS_V2).provenance) is None
    old, new = open_results(RESULTS_V2).frame.collect(), again.frame.collect()
    assert old.schema == new.schema
    for name in old.columns:
        if old[name].dtype == pl.Float64:
            assert old[name].is_null().equals(new[name].is_null()), name
            assert (old[name] - new[name]).abs().fill_null(0.0).max() <= 1e-12, name
        elif name != "subset_size":
            assert old[name].equals(new[name]), name


def test_rows_of_version_2_find_their_settings() -> None:
    rows = list(sample_rows(open_results(RESULTS_V2), CACHE, 12, seed=1))
    assert len(rows) == 12
    assert {len(row.target) for row in rows} == {258}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1", "results format 1, this mdbound reads 2 to 3: solve the capture again"),
        ("4", "results format 4, this mdbound reads 2 to 3: a newer mdbound wrote it; install"),
        ("two", "results format 'two', this mdbound reads 2 to 3: solve"),
    ],
)
def test_other_versions_are_refused_with_both(tmp_path: Path, version: str, message: str) -> None:
    path = tmp_path / "r.parquet"
    metadata = {**pl.read_parquet_metadata(RESULTS_V2), "mdbound_format": version}
    pl.read_parquet(RESULTS_V2).write_parquet(path, metadata=metadata)
    with pytest.raises(CacheError, match=message):
        open_results(path)
