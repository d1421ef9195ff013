"""Kernels: linked or plain, cached under a stamp of all that they were made of."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import mdbound
from mdbound.bounds.numerics.compiled.kernels import LINKED, kernel
from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.numerics.compiled.source_stamp import source_stamp

PACKAGE = Path(mdbound.__file__).parent

SOLVE = """
import json
import numpy as np
from mdbound.bounds.numerics.compiled.kernels import LINKED
from mdbound.bounds import solve_curve_from_logits
rng = np.random.default_rng(5)
p = rng.normal(0.0, [[3.0], [1.0], [0.01], [0.01]], (4, 32000)).astype(np.float32)
q = (p + rng.normal(0.0, [[1.0], [1.0], [0.01], [0.0]], p.shape)).astype(np.float32)
found = {"linked": LINKED}
for law in ("greedy", "with_replacement"):
    curve = solve_curve_from_logits(p, q, 8, law)
    found[law] = [curve.acceptance.tolist(), curve.error_bound.tolist(), curve.subset_size.tolist()]
print(json.dumps(found))
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
    """Compiled apart, sums may round otherwise: within a part of the stated error, same sizes."""
    linked = json.loads(run(SOLVE, NUMBA_CACHE_DIR=str(tmp_path / "linked")))
    plain = json.loads(run(SOLVE, NUMBA_CACHE_DIR=str(tmp_path / "plain"), MDBOUND_PLAIN_NJIT="1"))
    assert (linked.pop("linked"), plain.pop("linked")) == (True, False)
    for law, (acceptance, error, size) in linked.items():
        other, _, other_size = plain[law]
        assert (np.abs(np.subtract(acceptance, other)) <= 0.1 * np.array(error)).all()
        assert size == other_size
    assert 0 in np.array(linked["with_replacement"][2])  # flat rows, where rounding chose before


@kernel
def plus_half(x: float) -> float:
    return x + 0.5


@kernel
def twice_plus_half(x: float) -> float:
    return 2.0 * plus_half(x)


def test_a_kernel_can_be_inner_and_outermost() -> None:
    """What was linked into one caller has no address, and is compiled anew for any other."""
    assert twice_plus_half(1.0) == 3.0
    assert plus_half(1.0) == 1.5
    assert numba.njit(lambda x: plus_half(x) + twice_plus_half(x))(1.0) == 4.5


def test_one_version_for_constants_and_numbers() -> None:
    @kernel
    def shifted(x: float, by: int) -> float:
        return x + by

    @kernel
    def three(x: float, by: int) -> float:
        return shifted(x, 1) + shifted(x, 2) + shifted(x, by)

    assert three(0.0, 3) == 6.0
    if LINKED:
        assert len(shifted._inner.overloads) == 1  # type: ignore[attr-defined]


def test_garbage_is_collected_after_compiling() -> None:
    assert kernel(lambda x: x * 3.0)(2.0) == 6.0
    assert gc.isenabled()


RENAMED = """
from typing import NamedTuple
from {0}.kernels import kernel

class {1}(NamedTuple):
    value: float

@kernel
def doubled(one):
    return one.value * 2.0

made = {1}
"""


def small_package(folder: Path) -> Path:
    """A package with the modules that kernels are made by, and no others."""
    package = folder / "mdbound"
    compiled = package / "bounds" / "numerics" / "compiled"
    compiled.mkdir(parents=True)
    for room in (package, package / "bounds", package / "bounds/numerics", compiled):
        (room / "__init__.py").touch()
    for name in ("kernel_folder.py", "kernels.py", "source_stamp.py"):
        shutil.copy(PACKAGE / "bounds/numerics/compiled" / name, compiled / name)
    return compiled


@pytest.mark.parametrize("plain", ["0", "1"])
def test_code_of_a_class_that_is_no_more_is_compiled_anew(plain: str, tmp_path: Path) -> None:
    """As after an upgrade: what is on disk names types that cannot be loaded."""
    compiled = small_package(tmp_path)
    where = "mdbound.bounds.numerics.compiled"
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "MDBOUND_PLAIN_NJIT": plain}
    code = f"from {where}.renamed import doubled, made; print(doubled(made(1.5)))"
    for name in ("Before", "After"):
        (compiled / "renamed.py").write_text(RENAMED.format(where, name))
        assert run(code, tmp_path, **kept) == "3.0"


@pytest.mark.parametrize("plain", ["0", "1"])
def test_editing_an_inner_kernel_recompiles_its_roots(plain: str, tmp_path: Path) -> None:
    compiled = small_package(tmp_path)
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


@pytest.mark.parametrize("failing", [0, 1, 7])
def test_an_exception_in_a_chunk_is_raised(failing: int) -> None:
    def refuse(chunk: int, chunks: int) -> None:
        if chunk == failing % chunks:
            raise ValueError(f"chunk {chunk}")

    with pytest.raises(ValueError, match="chunk"):
        run_chunks(refuse, 100)
    done: list[int] = []
    run_chunks(lambda chunk, chunks: done.extend(range(chunk, 100, chunks)), 100)
    assert sorted(done) == list(range(100))  # the threads are as good as before


def test_chunks_in_chunks_do_not_wait_for_each_other() -> None:
    """More calls at once than there are threads: each takes its own chunks."""
    outer: list[int] = []
    done: list[int] = []

    def nested(chunk: int, _: int) -> None:
        outer.append(chunk)
        run_chunks(lambda inner, chunks: done.extend(range(inner, 50, chunks)), 50)

    run_chunks(nested, 50)
    assert len(done) == 50 * len(outer) > 0
