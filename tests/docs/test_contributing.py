"""CONTRIBUTING.md: its map is the tree's, its paths exist, its hooks are what CI runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")

_PATH = re.compile(r"`((?:mdbound|tests|docs|benchmarks|examples|reports)/[\w./-]*)`")


def mapped_folders(page: str) -> list[str]:
    """Folders of the map, whose indentation says what lies in what."""
    drawing = page.split("```text\n")[1].split("```", maxsplit=1)[0]
    folders: list[str] = []
    above: list[tuple[int, str]] = []
    for line in drawing.splitlines():
        named = re.match(r"( *)([\w/]+)/(?: |$)", line)
        if named is None:
            continue
        above = [each for each in above if each[0] < len(named[1])]
        folders.append("/".join([*(name for _, name in above), named[2]]))
        above.append((len(named[1]), named[2]))
    return folders


def rooms(root: Path) -> set[str]:
    """Folders of the package that hold modules."""
    return {str(file.parent.relative_to(root)) for file in (root / "mdbound").rglob("*.py")}


def map_errors(page: str, root: Path) -> set[str]:
    """What the map names and the tree lacks, and the other way round."""
    named = mapped_folders(page)
    missing = {f"no folder {folder}" for folder in named if not (root / folder).is_dir()}
    return missing | {f"not on the map: {room}" for room in rooms(root) - set(named)}


def test_the_map_names_every_room_and_no_other() -> None:
    assert map_errors(CONTRIBUTING, ROOT) == set()
    assert len(mapped_folders(CONTRIBUTING)) == len(set(mapped_folders(CONTRIBUTING)))


def test_a_map_that_is_behind_is_found() -> None:
    moved = re.sub(r"(?m)^    rates/", "    quotas/", CONTRIBUTING)
    assert map_errors(moved, ROOT) - map_errors(CONTRIBUTING, ROOT) == {
        "no folder mdbound/schemes/quotas",
        "not on the map: mdbound/schemes/rates",
    }


def test_the_short_map_names_folders_that_exist() -> None:
    folders = re.findall(r"(?m)^((?:mdbound|tests)/\S+/) ", README)
    assert len(folders) == 9
    assert all((ROOT / folder).is_dir() for folder in folders)
    named = re.findall(r"\b([a-z_]+)/ ", README.split("## The house")[1].split("##")[0])
    assert {"laws", "device", "canonical", "programs", "proofs", "papers"} <= set(named)
    for room in ("laws", "device", "canonical", "programs", "proofs", "papers"):
        assert (ROOT / "mdbound/bounds" / room).is_dir()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "benchmarks/README.md"])
def test_paths_exist(page: str) -> None:
    paths = _PATH.findall((ROOT / page).read_text(encoding="utf-8"))
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == [], page
    assert page != "CONTRIBUTING.md" or len(paths) > 15


def test_tables_by_law_are_where_the_page_says() -> None:
    rows = re.findall(r"(?m)^\| `([A-Z_]+)` \| `([\w/.]+)` \|", CONTRIBUTING)
    assert len(rows) >= 4
    for table, file in rows:
        assert re.search(rf"(?m)^{table}: dict\[str, ", (ROOT / file).read_text(encoding="utf-8"))


def test_the_site_shows_the_map() -> None:
    """The page includes the section; the build of the site fails where there is none."""
    page = (ROOT / "docs/house.md").read_text(encoding="utf-8")
    assert '--8<-- "CONTRIBUTING.md:house"' in page
    section = CONTRIBUTING.split("[start:house] -->")[1].split("<!-- --8<-- [end:house]")[0]
    assert section.count("\n## ") >= 4
    assert "](" not in section  # a relative link would lead elsewhere on the site


def recipe(makefile: str, target: str) -> list[str]:
    """Commands of a target of the Makefile, variables spelled out."""
    found = re.search(rf"(?m)^{target}:.*\n((?:\t.*\n)+)", makefile)
    assert found is not None, target
    variables = dict(re.findall(r"(?m)^(\w+) +\??:?= +(.*)$", makefile))
    lines = [line.strip() for line in found[1].splitlines()]
    while any("$(" in line for line in lines):
        lines = [re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], line) for line in lines]
    return lines


def hook_commands(config: str) -> list[str]:
    return [hook["entry"] for repo in yaml.safe_load(config)["repos"] for hook in repo["hooks"]]


def test_hooks_run_what_ci_runs() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    prerequisites = re.search(r"(?m)^test: (.*)$", MAKEFILE)
    assert prerequisites is not None
    assert {"lint", "types"} < set(prerequisites[1].split())
    assert hook_commands(HOOKS) == recipe(MAKEFILE, "lint") + recipe(MAKEFILE, "types")


def test_hooks_that_drift_are_found() -> None:
    changed = MAKEFILE.replace("ruff check .", "ruff check mdbound")
    assert changed != MAKEFILE
    assert hook_commands(HOOKS) != recipe(changed, "lint") + recipe(changed, "types")


def test_hooks_download_nothing() -> None:
    repositories = yaml.safe_load(HOOKS)["repos"]
    assert [each["repo"] for each in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "unsupported"  # no environment of its own: what is installed
        assert hook["pass_filenames"] is False  # the whole tree, as CI checks it


def test_classifiers_are_the_versions_that_the_tests_ran_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    claimed = {each.removeprefix(prefix) for each in project["classifiers"] if prefix in each}
    tested = set(re.findall(r"(?m)^\| (3\.\d+)\.\d+ \|", CONTRIBUTING))
    assert claimed == tested != set()
