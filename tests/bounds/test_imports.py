"""What `import mdbound.bounds` costs: heavy libraries load when they are used."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch",
    "highspy",
    "scipy.special",
    "scipy.sparse",
    "polars",
    "matplotlib",
    "flint",
    "cvxpy",
)


def loaded_after(code: str) -> set[str]:
    report = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_bounds_load_nothing_heavy():
    assert loaded_after("import mdbound.bounds") == set()


def test_what_is_used_is_seen():
    program = "bounds.optimal_acceptance_lp([0.5, 0.5], [0.5, 0.5], 1)"
    assert "highspy" in loaded_after(f"from mdbound import bounds; {program}")
