"""Tables of `reports/` as their readers take them: LaTeX in both classes, CSV by both libraries."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mdbound.analysis.tables.origin import read_origin, sha256
from tests.analysis.tables.tex import CLASSES, compile_tables, has_tex

REPORTS = Path(__file__).parents[3] / "reports"
FRAGMENTS = sorted(file for file in REPORTS.rglob("*.tex") if not file.stem.endswith("-standalone"))
CSV = sorted(REPORTS.rglob("*.csv"))


@pytest.mark.skipif(not has_tex(), reason="no TeX engine on this machine")
@pytest.mark.parametrize("document_class", CLASSES)
def test_every_table_compiles_and_fits(document_class: str, tmp_path: Path) -> None:
    assert len(FRAGMENTS) > 40
    texts = [file.read_text(encoding="utf-8") for file in FRAGMENTS]
    assert compile_tables(texts, document_class, tmp_path) == []


@pytest.mark.parametrize("file", CSV, ids=lambda file: str(file.relative_to(REPORTS)))
def test_every_csv_is_read_as_it_stands(file: Path) -> None:
    pandas = pytest.importorskip("pandas")
    ours, theirs = pl.read_csv(file, infer_schema_length=None), pandas.read_csv(file)
    assert ours.columns == list(theirs.columns)
    assert ours.height == len(theirs) > 0
    numbers = [name for name, kind in ours.schema.items() if kind.is_float()]
    assert all(pandas.api.types.is_numeric_dtype(theirs[name]) for name in numbers)


@pytest.mark.parametrize("file", CSV, ids=lambda file: str(file.relative_to(REPORTS)))
def test_every_table_is_the_one_that_was_written(file: Path) -> None:
    origin = read_origin(file.with_suffix(".json"))
    # Parquet files are not part of the repository.
    there = {name: digest for name, digest in origin.files.items() if name[-8:] != ".parquet"}
    assert file.name in there
    for name, digest in there.items():
        assert sha256(file.parent / name) == digest, name
    said = " ".join(origin.notes)
    assert "-dirty" not in said
