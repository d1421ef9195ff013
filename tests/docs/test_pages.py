"""Examples on the other pages run, tables match the code, and the site builds by itself."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import polars as pl
import pytest

from mdbound import bounds, schemes
from mdbound.analysis.solving.results import RESULT_SCHEMA
from mdbound.analysis.studies.study import VALUES
from mdbound.analysis.studies.study_file import KEYS, read_study
from mdbound.cli import app
from mdbound.logits_cache.store.shards import DOCUMENTS_SCHEMA, POSITIONS_SCHEMA, logits_schema
from tests.docs.pages import DOCS, TUTORIAL, blocks, run_examples

PAGES = sorted(page for page in DOCS.glob("*.md") if page != TUTORIAL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_print_what_the_page_says(page: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page):
        assert block.language == "python", f"{page.name} has a command that nothing runs"
        if "make_certificate" in block.text:
            pytest.importorskip("flint")
        for source, expected, printed in run_examples(page, block, names):
            assert printed == expected, f"{page.name}: {source}"


def test_columns_of_the_results_file() -> None:
    page = (DOCS / "files.md").read_text(encoding="utf-8").split("## The results file")[1]
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert documented == {name: dtype().__class__.__name__ for name, dtype in RESULT_SCHEMA.items()}
    assert all(issubclass(dtype, pl.DataType) for dtype in RESULT_SCHEMA.values())


def test_columns_of_the_cache() -> None:
    page = (DOCS / "files.md").read_text(encoding="utf-8").split("## The results file")[0]
    for schema in (POSITIONS_SCHEMA, DOCUMENTS_SCHEMA, logits_schema(2)):
        for name in schema.names:
            assert f"`{name}`" in page


def test_every_scheme_and_law_is_described() -> None:
    page = (DOCS / "schemes.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == schemes.names()
    theory = (DOCS / "theory.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", theory, re.MULTILINE)) == set(bounds.SAMPLING_LAWS)


def test_every_command_is_described() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8").split("## Settings")[0]
    documented = re.findall(r"^\| `(\w+)` \|.*\| `mdbound (\w+)\b", page, re.MULTILINE)
    assert all(command == example for command, example in documented)
    registered = {command.name for command in app.registered_commands}
    assert {command for command, _ in documented} == registered, "docs/commands.md is behind"


def test_the_study_and_its_keys(tmp_path: Path) -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    file = tmp_path / "study.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    study = read_study(file)
    assert len(study.grid.settings(("small",))) > 0
    assert study.tables[0].across == "top_k"
    rows = re.findall(r"^\| (`[^|]+`) \|", page.split("## Studies")[1], re.MULTILINE)
    assert {name.strip("` ") for row in rows for name in row.split(",")} == set(KEYS)
    assert all(f"`{value}`" in page for value in VALUES)


@pytest.mark.filterwarnings("ignore")  # of the site generator's own dependencies
def test_the_site_builds_and_asks_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    monkeypatch.chdir(DOCS.parent)
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    with caplog.at_level(logging.WARNING, logger="mkdocs"):
        config = load_config("mkdocs.yml", site_dir=str(tmp_path))
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    assert not caplog.records, caplog.text
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(PAGES)
    loaded = r"<(?:script|img|iframe)[^>]+src=\"(https?:[^\"]+)|<link[^>]+href=\"(https?:[^\"]+)"
    for page in pages:
        assert not re.findall(loaded, page.read_text(encoding="utf-8")), page.name
