"""What a run was made with: the commit of a checkout, and the versions that decide numbers."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import mdbound

_PACKAGES = ("numpy", "numba", "scipy", "polars", "pyarrow")


def environment() -> dict[str, str]:
    """Versions of Python and of the numerical packages, and the commit if there is one.

    Example:
        >>> sorted(environment())[-2:]
        ['python', 'scipy']
    """
    found = {"python": platform.python_version()}
    found |= {name: metadata.version(name) for name in _PACKAGES}
    described = commit()
    return {"commit": described, **found} if described else found


@cache
def commit() -> str | None:
    """`git describe` of the package's own checkout; None for an installed package."""
    checkout = Path(mdbound.__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--tags", "--dirty"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
