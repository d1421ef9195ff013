"""Scheme files stand beside each other: a new one is a new file, and touches no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mdbound.schemes
from mdbound import schemes

PACKAGE = Path(mdbound.schemes.__file__).parent
LARGEST_FOLDER = 14
ROOMS = ("contract", "rates", "sampling")


def imported(source: str) -> set[str]:
    """Every module that a file names in an import, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def scheme_files() -> list[str]:
    return sorted(file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__")


def others_imported(source: str) -> set[str]:
    """Scheme files that a source imports."""
    return {name for name in scheme_files() if f"mdbound.schemes.{name}" in imported(source)}


def inside_of_bounds(source: str) -> set[str]:
    """Modules of bounds that are neither its public names nor its ground floors."""
    allowed = ("mdbound.bounds.numerics", "mdbound.bounds.problem")
    return {
        module
        for module in imported(source)
        if module.startswith("mdbound.bounds.")
        and not module.startswith(allowed)
        and module.removeprefix("mdbound.bounds.") not in mdbound.bounds.__all__
    }


@pytest.mark.parametrize("name", scheme_files())
def test_one_scheme_a_file_and_none_imports_another(name: str) -> None:
    source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
    assert others_imported(source) == set()
    assert type(schemes.get(name)).__module__ == f"mdbound.schemes.{name}"


def test_an_import_of_another_scheme_is_found() -> None:
    inside = "def rate():\n    from mdbound.schemes.greedy import Greedy\n"
    assert others_imported(inside) == {"greedy"}
    assert others_imported("import mdbound.schemes.k_seq") == {"k_seq"}
    assert others_imported("from mdbound.schemes import nss") == {"nss"}


def test_only_public_names_and_ground_floors_of_bounds() -> None:
    for file in PACKAGE.rglob("*.py"):
        assert inside_of_bounds(file.read_text(encoding="utf-8")) == set(), file.name
    planted = "from mdbound.bounds.laws.greedy.law import Greedy"
    assert inside_of_bounds(planted)


def test_rooms_below_the_schemes_import_none_of_them() -> None:
    below = {"contract": (), "sampling": ("contract",), "rates": ("sampling",)}
    for room in ROOMS:
        for file in (PACKAGE / room).glob("*.py"):
            names = {
                module.split(".")[2]
                for module in imported(file.read_text(encoding="utf-8"))
                if module.startswith("mdbound.schemes.")
            }
            assert names <= {room, *below[room]}, file.name


def test_folders_are_small() -> None:
    for folder in (PACKAGE, *(PACKAGE / room for room in ROOMS)):
        modules = [file for file in folder.glob("*.py") if file.stem != "__init__"]
        assert len(modules) <= LARGEST_FOLDER, folder.name
    assert {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")} == set(ROOMS)
