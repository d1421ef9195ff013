"""The page on formats says what the code does: columns, keys, and which versions are read."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import polars as pl
import pytest

import mdbound
from mdbound.analysis.paths.path_results import PATHS_FORMAT
from mdbound.analysis.reference_vectors import VECTORS_FORMAT
from mdbound.analysis.solving.results import RESULT_SCHEMA, RESULTS_FORMAT, Provenance
from mdbound.analysis.solving.setting import SolveSetting
from mdbound.analysis.trees.tree_results import TREES_FORMAT, TREES_SCHEMA
from mdbound.audit.vectors.document import reference_vectors
from mdbound.logits_cache import Manifest
from mdbound.logits_cache.store.documents import (
    DOCUMENTS_FORMAT,
    DOCUMENTS_SCHEMA,
    POSITIONS_SCHEMA,
)
from mdbound.logits_cache.store.format_version import Format
from mdbound.logits_cache.store.manifest import MANIFEST_FORMAT
from mdbound.logits_cache.store.node_table import PATH_NODES_SCHEMA
from mdbound.logits_cache.store.paths_record import PathsRecord
from mdbound.logits_cache.store.shards import logits_schema, path_logits_schema
from tests.docs.pages import DOCS

PAGE = (DOCS / "formats.md").read_text(encoding="utf-8")
FORMATS = (
    *(MANIFEST_FORMAT, DOCUMENTS_FORMAT, RESULTS_FORMAT, PATHS_FORMAT, TREES_FORMAT),
    VECTORS_FORMAT,
)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows_below(header: str) -> list[list[str]]:
    """Cells of the table whose header starts so."""
    table = PAGE.split(f"\n| {header} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in table]


def documented_columns(page: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE))


def test_columns_of_the_results_file() -> None:
    written = {name: dtype().__class__.__name__ for name, dtype in RESULT_SCHEMA.items()}
    assert documented_columns(section("The results file")) == written
    assert all(issubclass(dtype, pl.DataType) for dtype in RESULT_SCHEMA.values())


def test_a_column_that_is_missing_or_of_another_type_is_noticed() -> None:
    found = documented_columns(section("The results file"))
    without = section("The results file").replace("| `top_k` | Int64 |", "| `top_k` | Float64 |")
    assert documented_columns(without) != found
    assert documented_columns(without.replace("| `accept` |", "| accept |")).keys() != found.keys()


def test_columns_of_the_cache() -> None:
    for schema in (POSITIONS_SCHEMA, DOCUMENTS_SCHEMA, logits_schema(2)):
        for name in schema.names:
            assert f"`{name}`" in section("The logits cache")
    paths = section("The logits cache").split("\n### Drafted paths\n")[1].split("\n### ")[0]
    for name in (*PATH_NODES_SCHEMA.names, *path_logits_schema(2).names):
        assert f"`{name}`" in paths
    for field in dataclasses.fields(PathsRecord):
        assert f"`{field.name}`" in paths


def test_columns_of_the_file_of_draft_trees() -> None:
    page = section("The file of draft trees")
    assert set(TREES_SCHEMA) <= set(re.findall(r"`(\w+)`", page))


def test_keys_of_manifest_results_and_vectors() -> None:
    keys = re.findall(r"^\| (`.*?`) \|", section("The logits cache"), re.MULTILINE)
    named = {name for cell in keys for name in re.findall(r"`(\w+)`", cell)}
    assert {field.name for field in dataclasses.fields(Manifest)} <= named
    metadata = Provenance("1", "ab", {}, []).to_metadata()
    assert all(f"`{key}`" in section("The results file") for key in metadata)
    for name in ("warpers", "draft_temperatures"):
        assert name in SolveSetting.__dataclass_fields__
        assert f"`{name}`" in section("The results file")
    vectors = reference_vectors()
    for key in {*vectors, *vectors["problems"][0]}:
        assert f"`{key}`" in section("Reference vectors")


def test_every_format_is_listed_with_its_versions_and_its_module() -> None:
    listed = {row[0]: row for row in rows_below("format")}
    assert list(listed) == [each.name for each in FORMATS]
    for each in FORMATS:
        _, _, newest, read, module = listed[each.name]
        assert newest == str(each.newest)
        spread = f"{each.oldest} to {each.newest}" if each.oldest < each.newest else newest
        assert read == spread
        file = Path(mdbound.__file__).parent / module.strip("`")
        assert f'Format("{each.name}"' in " ".join(file.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("kept", FORMATS, ids=lambda each: each.name)
def test_older_versions_say_whether_they_are_read(kept: Format) -> None:
    for version, lacks, follows in rows_below(f"{kept.name} | what it lacks"):
        assert lacks
        assert follows.startswith("read" if int(version) >= kept.oldest else "refused")
    described = {int(row[0]) for row in rows_below(f"{kept.name} | what it lacks")}
    assert described == set(range(1, max(kept.newest, 2)))
