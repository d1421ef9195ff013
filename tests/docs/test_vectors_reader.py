"""The C++ reader of reference vectors on the page of commands, compiled and run as it stands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mdbound.analysis import write_reference_vectors
from tests.docs.pages import DOCS


def compiled(folder: Path, code: str) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    header = pytest.importorskip("nlohmann_json")
    source, program = folder / "reader.cpp", folder / "reader"
    source.write_text(code, encoding="utf-8")
    include = Path(header.__file__).parent / "include"
    command = [compiler, "-std=c++17", "-O1", f"-I{include}", str(source), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program


def test_the_reader_agrees_and_notices_a_wrong_kernel(tmp_path: Path) -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    code = page.split("<!-- reader -->\n```cpp\n")[1].split("```")[0]
    vectors = write_reference_vectors(tmp_path / "vectors.json")
    right = subprocess.run(
        [compiled(tmp_path, code), vectors], capture_output=True, text=True, check=False
    )
    assert right.returncode == 0, right.stdout + right.stderr
    assert int(right.stdout.split()[0]) > 500
    # Control: a repeated draft that is skipped, as an engine shipped it.
    skipped = code.replace(
        "  for (int x : drafted) {\n",
        "  for (size_t i = 0; i < drafted.size(); ++i) {\n    const int x = drafted[i];\n"
        "    if (std::find(drafted.begin(), drafted.begin() + i, x) != drafted.begin() + i)\n"
        "      continue;\n",
    )
    assert skipped != code
    wrong = subprocess.run(
        [compiled(tmp_path, skipped), vectors], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert "has" in wrong.stdout
