"""Examples on the other pages run, tables match the code, and the site builds by itself."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from pathlib import Path

import pytest

from mdbound import bounds, schemes
from mdbound.analysis.paths.path_tables import PATH_VALUES
from mdbound.analysis.studies.study import VALUES
from mdbound.analysis.studies.study_file import KEYS, PATH_KEYS, TREE_KEYS, read_study
from mdbound.analysis.studies.tree_study import TreeStudy
from mdbound.analysis.trees.tree_grid import PathsShape
from mdbound.cli import app
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


def test_every_scheme_and_law_is_described() -> None:
    page = (DOCS / "schemes.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == schemes.names()
    drafted = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    for name in schemes.names():
        takes_several = not schemes.get(name).facts().identical_only
        said = "different laws" in drafted[name] or drafted[name].strip() == "every law"
        assert said == takes_several, f"{name}: {drafted[name]}"
    theory = (DOCS / "theory.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", theory, re.MULTILINE)) == set(bounds.SAMPLING_LAWS)


def test_every_command_is_described() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8").split("## Settings")[0]
    documented = re.findall(r"^\| `([\w-]+)` \|.*\| `mdbound ([\w-]+)", page, re.MULTILINE)
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
    studies, rest = page.split("## Studies")[1].split("### Of tokens per call")
    of_calls, of_trees = rest.split("### Of draft trees")
    rows = re.findall(r"^\| (`[^|]+`) \|", studies, re.MULTILINE)
    assert {name.strip("` ") for row in rows for name in row.split(",")} == set(KEYS)
    assert all(f"`{value}`" in page for value in VALUES)
    file.write_text(of_calls.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    of_paths = read_study(file)
    assert of_paths.grid.last_level == "exact"
    assert of_paths.tables[0].across == "draft_temperature"
    said = set(re.findall(r"`(\w+)`", of_calls.split("```toml")[0]))
    bootstrap = {name for name, key in PATH_KEYS.items() if key.part == "bootstrap"}
    assert said - {"paths", "solve"} == set(PATH_KEYS) - bootstrap
    assert all(f"`{value}`" in of_calls for value in PATH_VALUES)
    file.write_text(of_trees.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    trees_study = read_study(file)
    assert isinstance(trees_study, TreeStudy)
    assert trees_study.grid.shapes[0] == PathsShape(2, 3)
    said = set(re.findall(r"`(\w+)`", of_trees.split("```toml")[0]))
    assert said - {"trees", "report"} == set(TREE_KEYS) - bootstrap | {"seed"}


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


NAMED = re.compile(
    r"^::: (mdbound\.\w+)\.([\w.]+)|from (mdbound\.\w+)(\.[\w.]+)? import (\w+)", re.M
)
EXPORTING = ("mdbound.bounds", "mdbound.logits_cache", "mdbound.analysis")


def deep_paths(page: str) -> list[str]:
    """Names of a page that are not exported from their package."""
    found = []
    for match in NAMED.finditer(page):
        package, name = match[1] or match[3], match[2] or (match[4] or "") + match[5]
        if package in EXPORTING and name not in import_module(package).__all__:
            found.append(f"{package}.{name}".replace("..", "."))
    return found


def test_paths_that_pages_name_are_short_and_exported() -> None:
    for page in [*PAGES, TUTORIAL, *DOCS.glob("api/*.md"), DOCS.parent / "README.md"]:
        assert deep_paths(page.read_text(encoding="utf-8")) == [], page.name


def test_a_deep_path_is_found() -> None:
    assert deep_paths("::: mdbound.bounds.proofs.certificate.Certificate") != []
    assert deep_paths("from mdbound.analysis.solving.results import Results") != []
    assert deep_paths("::: mdbound.bounds.solve\nfrom mdbound.analysis import Results") == []


@pytest.mark.parametrize("package", EXPORTING)
def test_what_is_exported_is_there_and_listed_once(package: str) -> None:
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    imported = re.findall(r"^    from [\w.]+ import \(?\s*(\w+) as \1\b", source, re.MULTILINE)
    assert not imported or sorted(imported) == sorted(module.__all__) == sorted(module._HOMES)
