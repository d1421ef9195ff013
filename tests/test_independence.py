"""What checks a solver shares no code with it: what certificates, programs and oracles may import.

Allowed are array types, checks of input, errors, one checked position of a law, the lookup in a
table by law, and threads for the rows of a batch. Formulas, sums, orders and selections are their
own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

INPUT = {
    "mdbound.errors": None,
    "mdbound.bounds.problem.array_types": None,
    "mdbound.bounds.problem.checks": None,
}
LAWS = {
    "mdbound.bounds.laws.position": {"check_position"},
    "mdbound.bounds.laws.registry": {"entry_of_law"},
}
THREADS = {"mdbound.bounds.numerics.compiled.row_threads": {"run_chunks"}}
ALLOWED: dict[str, dict[str, set[str] | None]] = {
    "mdbound/bounds/proofs": INPUT | LAWS | {"mdbound.bounds.proofs": None},
    "mdbound/bounds/programs": INPUT | LAWS | {"mdbound.bounds.programs": None},
    "mdbound/bounds/papers/two_drafts.py": INPUT | THREADS,
    "tests/oracles": {"tests.oracles": None},
}
"""By room or file: modules of the project, or rooms, and which of their names; None for all."""


def imports(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Module, name and line of every import: in functions, for types, and by a string, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield "." * node.level + (node.module or ""), alias.name, node.lineno
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield str(first.value), "", node.lineno


def is_allowed(module: str, name: str, allowed: dict[str, set[str] | None]) -> bool:
    if module.split(".", maxsplit=1)[0] not in ("", "mdbound", "tests"):
        return True
    for known, names in allowed.items():
        # `from room import module` names the module only as a whole.
        inside = known in (module, f"{module}.{name}") or module.startswith(f"{known}.")
        if inside and (names is None or name in names):
            return True
    return False


def violations(root: Path) -> list[str]:
    found = []
    for place, allowed in ALLOWED.items():
        path = root / place
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert files, place
        for file in files:
            for module, name, line in imports(ast.parse(file.read_text(encoding="utf-8"))):
                if not is_allowed(module, name, allowed):
                    found.append(f"{file.relative_to(root)}:{line} imports {module} {name}".strip())
    return found


def test_what_checks_the_solver_shares_no_code_with_it() -> None:
    assert violations(ROOT) == []


PLANTED = (
    "from mdbound.bounds.numerics.summation import prefix_sums",
    "from mdbound.bounds.numerics import most_likely_tokens",
    "from mdbound.bounds.numerics.ratio_order import ratio_order",
    "from mdbound.bounds.laws.registry import draft_law",
    "import mdbound.bounds.laws.registry",
    "import mdbound.bounds.laws.greedy.law as law",
    "from mdbound.bounds import optimal_acceptance",
    "from mdbound import bounds",
    "import mdbound.bounds",
    "from ..numerics.summation import prefix_sums",
    "from importlib import import_module; import_module('mdbound.bounds.numerics.summation')",
)
INSIDE_FUNCTION = "\n\ndef _planted() -> None:\n    {statement}\n"
FOR_TYPES = "\n\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {statement}\n"
PLACES = {
    "mdbound/bounds/proofs": "exact_arithmetic.py",
    "mdbound/bounds/programs": "draft_sets.py",
    "mdbound/bounds/papers/two_drafts.py": "",
    "tests/oracles": "schemes.py",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("statement", PLANTED)
@pytest.mark.parametrize("form", ["\n{statement}\n", INSIDE_FUNCTION, FOR_TYPES])
def test_a_planted_import_is_found(tmp_path: Path, place: str, statement: str, form: str) -> None:
    for one in ALLOWED:
        file = tmp_path / one / PLACES[one]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import math\n", encoding="utf-8")
    assert violations(tmp_path) == []
    planted = tmp_path / place / PLACES[place]
    planted.write_text("import math\n" + form.format(statement=statement), encoding="utf-8")
    (found,) = violations(tmp_path)
    assert found.startswith(str(planted.relative_to(tmp_path)))
