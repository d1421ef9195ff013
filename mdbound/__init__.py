"""Exact limits of multi-draft speculative decoding, and what real schemes achieve.

`mdbound.bounds` is the mathematics (numpy arrays in, exact values with error bounds out),
`mdbound.schemes` the published verification algorithms. Capturing logits, solving a whole
capture and reporting are reached through the `mdbound` command.

Example:
    >>> import numpy as np
    >>> from mdbound import bounds
    >>> target = np.array([0.5, 0.3, 0.2])
    >>> draft = np.array([0.2, 0.5, 0.3])
    >>> round(bounds.optimal_acceptance(target, draft, num_drafts=1), 12)
    0.7
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"
__all__ = ["__version__", "bounds", "errors", "schemes"]


def __getattr__(name: str) -> ModuleType:
    # Lazy, so that `mdbound --help` does not pay for numba.
    if name in {"bounds", "errors", "schemes"}:
        return import_module(f"mdbound.{name}")
    raise AttributeError(f"module 'mdbound' has no attribute {name!r}")
