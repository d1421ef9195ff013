"""Every test that the pages on draft trees name as backing a claim exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.pages import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "tree-verifiers.md").read_text(encoding="utf-8").split("{ #claims }")[1]


def missing(page: str, root: Path = ROOT) -> list[str]:
    """Test ids of a page that no file defines."""
    found = []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page):
        path = root / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if name not in names:
            found.append(f"{file}::{name}")
    return found


def test_every_test_that_backs_a_claim_exists() -> None:
    assert missing(PAGE) == []
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 15
    assert all("::test_" in row for row in rows)


def test_a_test_that_is_gone_is_noticed() -> None:
    gone = "`tests/trees/test_chain.py::test_nothing` and `tests/trees/nowhere.py::test_a`"
    assert missing(gone) == [
        "tests/trees/test_chain.py::test_nothing",
        "tests/trees/nowhere.py::test_a",
    ]
