"""Files of earlier versions call nss "naive": read under its present name, refused by the old."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from mdbound.analysis.figures.drawing import FigureOptions
from mdbound.analysis.solving.grid import SolveGrid
from mdbound.analysis.solving.results import open_results
from mdbound.analysis.solving.solve_cache import solve_cache
from mdbound.analysis.studies.run_study import run_study
from mdbound.analysis.studies.study import Study, TableSpec
from mdbound.analysis.studies.study_file import study_from
from mdbound.analysis.tables.comparison import compare
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache

GRID = SolveGrid(
    sampling=("with_replacement",), num_drafts=(1, 2), drafts=("small",), schemes=("nss", "k_seq")
)
HINT = "'naive' stands for two: ask for 'nss' .* or for 'first_draft'"


def rename_in_file(path: Path, names: Mapping[str, str]) -> None:
    """Write the file again with other names of schemes, in its rows and in its settings."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    settings = json.loads(metadata[b"settings"])
    for setting in settings:
        setting["scheme"] = names.get(setting["scheme"], setting["scheme"])
    metadata[b"settings"] = json.dumps(settings).encode()
    at = table.schema.get_field_index("scheme")
    column = pl.from_arrow(table)["scheme"].replace(names).to_arrow().cast(table.schema[at].type)
    table = table.set_column(at, table.schema[at], column)
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.fixture
def out(cache: LogitsCache, tmp_path: Path) -> Path:
    path = tmp_path / "r.parquet"
    solve_cache(cache, GRID.settings(cache.draft_names), path)
    return path


def scheme_names(path: Path) -> tuple[set[str], set[str]]:
    """Schemes of the rows and of the settings."""
    opened = open_results(path)
    rows = opened.frame.select("scheme").unique().collect()["scheme"]
    return set(rows), {each["scheme"] for each in opened.provenance.settings}


def test_an_old_file_reads_like_a_new_one(out: Path) -> None:
    new = open_results(out)
    rows, provenance = new.frame.collect(), new.provenance
    rename_in_file(out, {"nss": "naive"})
    assert "naive" in set(pl.read_parquet(out)["scheme"])  # the file itself is an old one
    old = open_results(out)
    assert old.frame.collect().equals(rows)
    assert old.provenance.settings == provenance.settings
    assert {"bound", "nss", "k_seq"} == set(compare(out).means["scheme"]) | {"bound"}


def test_other_names_are_kept_as_they_are(out: Path) -> None:
    """The reading can fail: what no version called nss does not become nss."""
    rename_in_file(out, {"nss": "of_a_plugin"})
    assert scheme_names(out) == ({"bound", "of_a_plugin", "k_seq"},) * 2


def test_the_same_run_finds_the_old_file_done(cache: LogitsCache, out: Path) -> None:
    rename_in_file(out, {"nss": "naive"})
    before = out.read_bytes()
    summary = solve_cache(cache, GRID.settings(cache.draft_names), out)
    assert summary.resumed == summary.positions
    assert out.read_bytes() == before


def test_a_study_goes_on_from_old_pieces(cache: LogitsCache, tmp_path: Path) -> None:
    study = Study("s", cache.path, tmp_path / "s", GRID)
    first = run_study(study)
    rows = first.results.frame.collect()
    for path in [first.results.path, *(study.out / "solved").glob("*.parquet")]:
        rename_in_file(path, {"nss": "naive"})
    again = run_study(study)
    assert again.solved == 0
    assert again.results.frame.collect().equals(rows)
    wider = run_study(replace(study, grid=replace(GRID, schemes=("nss", "k_seq", "first_draft"))))
    assert set(wider.results.frame.collect()["scheme"]) == {"bound", "nss", "k_seq", "first_draft"}


@pytest.mark.parametrize(
    "ask",
    [
        lambda: SolveGrid(schemes=("naive",)).settings(["small"]),
        lambda: study_from(
            {"name": "k", "capture": "c", "out": "o", "schemes": ["naive"]}
        ).grid.settings(["small"]),
        lambda: TableSpec("t", where={"scheme": ("naive",)}),
        lambda: FigureOptions(where={"scheme": ("k_seq", "naive")}),
    ],
)
def test_the_old_name_is_refused_with_both_new_ones(ask: Any) -> None:
    with pytest.raises(InvalidSettingError, match=HINT):
        ask()
