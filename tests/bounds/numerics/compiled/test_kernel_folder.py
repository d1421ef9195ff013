"""Kernels where neither the installation nor the home can be written to."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mdbound

ROOT = Path(mdbound.__file__).resolve().parents[1]
NOBODY = 65534
RUNS = """
import numpy as np
from mdbound.bounds.numerics.fused_softmax import softmax_rows
rows = np.empty((1, 2))
softmax_rows(np.array([[0, np.log(3)]], dtype=np.float32), 1.0, rows)
print(rows.round(6).tolist())
"""
#: What numba alone does there: a kernel of the same read-only package, cached as it caches.
NUMBA_ALONE = """
import numba
from mdbound.bounds.problem import warpers
numba.njit(cache=True)(warpers.Warpers.as_dict)
"""

pytestmark = pytest.mark.skipif(
    not (hasattr(os, "getuid") and os.getuid() == 0 and shutil.which("setpriv")),
    reason="only root can run something as a user without write rights, with setpriv",
)


@pytest.fixture(scope="module")
def can_mount() -> bool:
    """Whether a folder can be mounted read-only here; a container may not allow it."""
    command = ["unshare", "-m", "mount", "--bind", str(ROOT / "mdbound"), str(ROOT / "mdbound")]
    return bool(shutil.which("unshare")) and not subprocess.run(command, check=False).returncode


@pytest.fixture
def run(can_mount: bool, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python as a user who can read all and write nothing, the package mounted read-only."""

    def run_there(code: str, temporary: Path) -> subprocess.CompletedProcess[str]:
        package = ROOT / "mdbound"
        mount = f'mount --bind "{package}" "{package}" && mount -o remount,bind,ro "{package}" && '
        reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading]
        command = ["setpriv", *user, sys.executable, "-c", code]
        shell = ["sh", "-c", f'{mount if can_mount else ""}exec "$@"', "sh", *command]
        return subprocess.run(
            ["unshare", "-m", *shell] if can_mount else shell,
            env={
                "HOME": "/nonexistent",
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(temporary),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run_there


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder of temporary files, as every user has."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def kernels_in(folder: Path) -> dict[str, int]:
    """Compiled kernels in a folder, and when each was written."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*.nbc"))}


def test_kernels_are_kept_in_a_folder_of_their_own(
    run: Callable[..., subprocess.CompletedProcess[str]], temporary: Path
) -> None:
    done = run(RUNS, temporary)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[[0.25, 0.75]]\n", "")
    folder = temporary / f"mdbound-kernels-{NOBODY}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept = kernels_in(folder)
    assert kept
    assert run(RUNS, temporary).stdout == done.stdout
    assert kernels_in(folder) == kept  # used again, and not compiled again


def test_numba_alone_refuses_there(
    run: Callable[..., subprocess.CompletedProcess[str]], temporary: Path
) -> None:
    done = run(NUMBA_ALONE, temporary)
    assert done.returncode != 0
    assert "no locator available" in done.stderr


def test_a_folder_that_somebody_else_made_is_not_taken(
    run: Callable[..., subprocess.CompletedProcess[str]], temporary: Path
) -> None:
    foreign = temporary / f"mdbound-kernels-{NOBODY}"
    foreign.mkdir()
    foreign.chmod(0o777)  # root's, and anybody could put code into it
    done = run(RUNS, temporary)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[[0.25, 0.75]]\n", "")
    assert not list(foreign.iterdir())


def test_without_any_folder_kernels_are_compiled_each_time(
    run: Callable[..., subprocess.CompletedProcess[str]], temporary: Path
) -> None:
    done = run(f"import tempfile; tempfile.tempdir = '/proc'\n{RUNS}", temporary)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[[0.25, 0.75]]\n", "")
    assert not list(temporary.iterdir())
