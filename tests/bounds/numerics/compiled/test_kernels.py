"""Kernels: linked or plain, cached under a stamp of all that they were made of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import mdbound
from mdbound.bounds.numerics.compiled.kernels import LINKED
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.compiled.source_stamp import source_stamp

PACKAGE = Path(mdbound.__file__).parent

SOLVE = """
import numpy as np
from mdbound.bounds.numerics.compiled.kernels import LINKED
from mdbound.bounds import acceptance_curve_from_logits
rng = np.random.default_rng(5)
p = rng.normal(0.0, 3.0, (3, 300)).astype(np.float32)
q = (p + rng.normal(0.0, 1.0, p.shape)).astype(np.float32)
print(LINKED, *acceptance_curve_from_logits(p, q, 3, "greedy").ravel().tolist())
"""

STACK = {
    "inner.py": "from {0}.kernels import kernel\n\n@kernel\ndef inner(x):\n    return x + {1}\n",
    "outer.py": (
        "from {0}.kernels import kernel\nfrom {0}.inner import inner\n\n"
        "@kernel\ndef outer(x):\n    return inner(x) * 2.0\n"
    ),
}
RUN_STACK = (
    "from {0}.outer import outer; value = outer(1.0);"
    "print(value, sum(outer.stats.cache_hits.values()))"
)


def run(code: str, folder: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder or PACKAGE.parent,  # which comes first on the path
        env=os.environ | environment,
    )
    return done.stdout.strip()


def test_this_numba_links() -> None:
    assert LINKED, f"numba {numba.__version__} lacks a name: {PACKAGE} falls back to plain njit"


def test_plain_njit_gives_the_same(tmp_path: Path) -> None:
    linked = run(SOLVE, NUMBA_CACHE_DIR=str(tmp_path / "linked")).split()
    plain = run(SOLVE, NUMBA_CACHE_DIR=str(tmp_path / "plain"), MDBOUND_PLAIN_NJIT="1").split()
    assert (linked[0], plain[0]) == ("True", "False")
    assert [float(one) for one in linked[1:]] == pytest.approx(
        [float(one) for one in plain[1:]], abs=1e-13
    )


@pytest.mark.parametrize("plain", ["0", "1"])
def test_editing_an_inner_kernel_recompiles_its_roots(plain: str, tmp_path: Path) -> None:
    package = tmp_path / "mdbound"
    compiled = package / "bounds" / "numerics" / "compiled"
    compiled.mkdir(parents=True)
    for folder in (package, package / "bounds", package / "bounds/numerics", compiled):
        (folder / "__init__.py").touch()
    for name in ("kernels.py", "source_stamp.py"):
        shutil.copy(PACKAGE / "bounds/numerics/compiled" / name, compiled / name)
    where = "mdbound.bounds.numerics.compiled"
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "MDBOUND_PLAIN_NJIT": plain}

    def write(constant: str) -> None:
        for name, text in STACK.items():
            (compiled / name).write_text(text.format(where, constant))

    write("1.0")
    assert run(RUN_STACK.format(where), tmp_path, **kept) == "4.0 0"
    assert run(RUN_STACK.format(where), tmp_path, **kept) == "4.0 1"  # from the cache
    write("2.0")
    assert run(RUN_STACK.format(where), tmp_path, **kept) == "6.0 0"


def test_stamp_follows_imports() -> None:
    law = PACKAGE / "bounds/laws/greedy/law.py"
    assert source_stamp(str(law)) != source_stamp(str(PACKAGE / "bounds/numerics/flagged.py"))
    assert source_stamp("<string>") is None


def test_rows_go_over_the_threads_that_numba_is_told() -> None:
    numbers: list[int] = []
    numba.set_num_threads(1)
    try:
        run_chunks(lambda _, chunks: numbers.append(chunks), 100)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert numbers == [1]


def test_an_exception_in_a_chunk_is_raised() -> None:
    def refuse(chunk: int, chunks: int) -> None:
        raise ValueError(f"chunk {chunk}")

    with pytest.raises(ValueError, match="chunk"):
        run_chunks(refuse, 10)
