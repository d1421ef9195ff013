"""Caches of other versions: older ones are read as the documentation says, newer ones refused.

`data/cache_v1` was captured before warpers were recorded: answers of a small random model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mdbound.bounds import Warpers
from mdbound.errors import CacheError, InvalidSettingError
from mdbound.logits_cache import LogitsCache, Manifest
from mdbound.logits_cache.store.documents import DOCUMENTS_FORMAT
from mdbound.logits_cache.store.format_version import Format
from mdbound.logits_cache.store.manifest import MANIFEST_FORMAT

CACHE_V1 = Path(__file__).parent / "data" / "cache_v1"
IDENTITY_V1 = "253076c86d7e5eda94e8b7702760d411304da8fa3972971e643d934b7a232d90"
"""As the mdbound that captured it said: results cite it."""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    shutil.copytree(CACHE_V1, tmp_path / "cache")
    return tmp_path / "cache"


def change(cache: Path, **values: Any) -> None:
    """Put values into the manifest of a cache."""
    path = cache / "manifest.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, **values}), encoding="utf-8")


def with_version(cache: Path, folder: str, version: str) -> None:
    """Give a file of the first shard another version, and the manifest its checksum."""
    path = cache / folder / "part-00000.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.replace_schema_metadata({"mdbound_documents_format": version}), path)
    raw = json.loads((cache / "manifest.json").read_text(encoding="utf-8"))
    content = path.read_bytes()
    record = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    raw["shards"][0]["files"][folder] = record
    change(cache, shards=raw["shards"])


def test_version_1_is_read_and_keeps_its_identity() -> None:
    cache = LogitsCache.open(CACHE_V1)
    assert cache.manifest.generation.warpers == Warpers(0.7).as_dict()
    assert cache.manifest.identity() == IDENTITY_V1
    (batch,) = cache.iter_batches()
    assert batch.logits["target"].shape == (6, 258)
    assert np.isfinite(batch.logits["small"]).all()
    assert [len(row["token_ids"]) for row in cache.read_documents(cache.shards[0])] == [11, 11]


def test_version_1_becomes_the_newest_when_it_is_written(tmp_path: Path) -> None:
    manifest = Manifest.read(CACHE_V1)
    manifest.write(tmp_path)
    raw = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert raw["format_version"] == MANIFEST_FORMAT.newest
    assert raw["generation"]["warpers"] == {
        "temperature": 0.7,
        "top_k": None,
        "top_p": None,
        "min_p": None,
    }
    assert "temperature" not in raw["generation"]
    assert Manifest.read(tmp_path) == manifest
    assert manifest.settings()["generation.temperature"] == 0.7


def test_what_answers_are_cut_to_is_part_of_the_identity() -> None:
    manifest = Manifest.read(CACHE_V1)
    cut = replace(manifest.generation, warpers=Warpers(0.7, top_k=50).as_dict())
    assert replace(manifest, generation=cut).identity() != IDENTITY_V1


@pytest.mark.parametrize("found", [7, 99, "8"])
def test_a_newer_cache_is_refused_with_both_versions(cache: Path, found: object) -> None:
    change(cache, format_version=found)
    message = rf"manifest\.json has cache format {found}, this mdbound reads 1 to 6: a newer"
    with pytest.raises(CacheError, match=message):
        LogitsCache.open(cache)


@pytest.mark.parametrize("found", [0, None, True, 1.5, "one", -1])
def test_what_is_no_version_is_refused(cache: Path, found: object) -> None:
    change(cache, format_version=found)
    with pytest.raises(CacheError, match=r"this mdbound reads 1 to 6: capture again"):
        LogitsCache.open(cache)


def test_a_warper_that_is_not_known_is_read_but_no_answer_is_sampled_with_it(cache: Path) -> None:
    """Stored logits are raw: however the text was sampled, they can be solved."""
    raw = json.loads((cache / "manifest.json").read_text(encoding="utf-8"))
    generation = {**raw["generation"], "warpers": {"temperature": 1.0, "top_h": 0.1}}
    del generation["temperature"]
    change(cache, format_version=2, generation=generation)
    manifest = LogitsCache.open(cache).manifest
    assert manifest.settings()["generation.top_h"] == 0.1
    assert manifest.identity() != IDENTITY_V1
    with pytest.raises(InvalidSettingError, match="'top_h'"):
        Warpers.from_dict(manifest.generation.warpers or {})


@pytest.mark.parametrize("folder", ["positions", "documents"])
def test_newer_documents_are_refused_with_both_versions(cache: Path, folder: str) -> None:
    with_version(cache, folder, str(DOCUMENTS_FORMAT.newest))
    opened = LogitsCache.open(cache)
    assert opened.read_positions(opened.shards[0]).height == 6
    assert len(opened.read_documents(opened.shards[0])) == 2
    with_version(cache, folder, "3")
    opened = LogitsCache.open(cache)
    read = opened.read_positions if folder == "positions" else opened.read_documents
    message = r"part-00000\.parquet has documents format 3, this mdbound reads 1 to 2: a newer"
    with pytest.raises(CacheError, match=message):
        read(opened.shards[0])


def test_new_files_say_their_version(tmp_path: Path) -> None:
    from mdbound.logits_cache import write_cache

    write_cache(tmp_path, [[0.0, 1.0]], {"d": [[0.0, 1.0]]})
    metadata = pq.read_schema(tmp_path / "positions" / "part-00000.parquet").metadata
    assert metadata[b"mdbound_documents_format"] == b"2"


def test_an_older_version_that_is_not_read_says_how_to_make_it_again() -> None:
    kept = Format("results", newest=5, oldest=3, remake="solve again")
    assert [kept.checked(version, Path("r")) for version in (3, "5")] == [3, 5]
    with pytest.raises(CacheError, match=r"r has results format 2, .* reads 3 to 5: solve again"):
        kept.checked(2, Path("r"))
