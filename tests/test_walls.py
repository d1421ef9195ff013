"""The walls between the rooms: contracts in pyproject.toml, kept by import-linter.

Every kind of violation is planted once in a copy of the package, so that no contract is empty.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mdbound"
LARGEST_FOLDER = 14

LINT = (
    "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports;"
    "sys.exit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
)
"""Run where a package lies beside its contracts: the installed one must not be taken for it."""

PLANTED = {
    "packages": ("bounds/problem/checks.py", "import mdbound.schemes"),
    "bounds": ("bounds/numerics/summation.py", "import mdbound.bounds.laws.draft_law"),
    "analysis": ("analysis/tables/table.py", "import mdbound.analysis.studies.study"),
    "captures": ("logits_cache/store/shards.py", "import mdbound.logits_cache.models.pairing"),
    "paths": ("paths/tails.py", "import mdbound.paths.tally"),
    "trees": ("trees/drafting/drafted_tree.py", "import mdbound.trees.verifiers.gbv"),
    "audit": ("audit/exact/laws.py", "import mdbound.audit.sampling.evidence"),
    "laws": ("bounds/laws/greedy/law.py", "import mdbound.bounds.laws.independent.mean_bound"),
    "insides": ("bounds/papers/truncated.py", "import mdbound.bounds.laws.greedy.law"),
    "device": ("schemes/k_seq.py", "import mdbound.bounds.device.sums"),
    "torch": ("bounds/laws/usable_rows.py", "import torch"),
    "transformers": ("analysis/demo.py", "import transformers"),
    "circles": (
        "bounds/numerics/vector_exp.py",
        "import mdbound.bounds.numerics.fused_softmax",
    ),
}
"""For each contract a file and the import that must break it."""

INSIDE_FUNCTION = "\n\ndef _planted() -> None:\n    {statement}\n"
FOR_TYPES = "\n\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {statement}\n"


def lint(folder: Path) -> tuple[int, str]:
    """Exit status and output of the contracts on the package in a folder."""
    run = subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout + run.stderr


def contracts() -> list[dict[str, object]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: list[dict[str, object]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the package's modules and its contracts."""
    for file in PACKAGE.rglob("*.py"):
        target = tmp_path / "mdbound" / file.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def folders_too_large(package: Path) -> list[str]:
    """Folders under bounds/, trees/ and analysis/ that hold more than `LARGEST_FOLDER` modules."""
    return [
        f"{folder.relative_to(package)}: {len(modules)}"
        for room in ("bounds", "trees", "audit", "analysis")
        for folder in [package / room, *(package / room).rglob("*/")]
        if len(modules := [f for f in folder.glob("*.py") if f.name != "__init__.py"])
        > LARGEST_FOLDER
    ]


def test_walls_stand() -> None:
    status, output = lint(ROOT)
    assert status == 0, output


def test_every_contract_has_a_planted_violation() -> None:
    assert {one["id"] for one in contracts()} == set(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_planted_violation_is_found(contract: str, copy: Path) -> None:
    name = next(str(one["name"]) for one in contracts() if one["id"] == contract)
    file, statement = PLANTED[contract]
    module = copy / "mdbound" / file
    module.write_text(module.read_text(encoding="utf-8") + f"\n\n{statement}\n", encoding="utf-8")
    status, output = lint(copy)
    assert status != 0
    assert f"{name} BROKEN" in " ".join(output.split())


@pytest.mark.parametrize("form", [INSIDE_FUNCTION, FOR_TYPES])
def test_imports_in_functions_and_for_types_count(form: str, copy: Path) -> None:
    module = copy / "mdbound/bounds/numerics/summation.py"
    planted = form.format(statement="import mdbound.bounds.laws.registry")
    module.write_text(module.read_text(encoding="utf-8") + planted, encoding="utf-8")
    status, output = lint(copy)
    assert status != 0
    assert "numerics.summation -> mdbound.bounds.laws.registry" in " ".join(output.split())


def test_every_law_is_behind_walls() -> None:
    """A new law's folder must be named by the contracts that keep laws apart."""
    wings = {
        f"mdbound.bounds.laws.{folder.parent.name}"
        for folder in (PACKAGE / "bounds/laws").glob("*/__init__.py")
    }
    by_id = {one["id"]: one for one in contracts()}
    assert _as_set(by_id["laws"]["modules"]) == wings
    assert _as_set(by_id["insides"]["protected_modules"]) == wings


def test_folders_are_small() -> None:
    assert folders_too_large(PACKAGE) == []


def test_large_folder_is_found(tmp_path: Path) -> None:
    for number in range(LARGEST_FOLDER + 1):
        file = tmp_path / f"bounds/laws/crowded/part_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert folders_too_large(tmp_path) == [f"bounds/laws/crowded: {LARGEST_FOLDER + 1}"]


def _as_set(names: object) -> set[str]:
    assert isinstance(names, Sequence)
    return set(names)
