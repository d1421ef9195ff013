"""Oracle of the optimum of greedy drafts: p(Top) and what the one draw from the rest can keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np


def digits_acceptance(p: Sequence[Any], q: Sequence[Any], num_drafts: int) -> mpmath.mpf:
    """At mpmath's working precision."""
    drafted = sorted((i for i in range(len(q)) if q[i] > 0), key=lambda i: (-q[i], i))
    top, rest = drafted[: num_drafts - 1], drafted[num_drafts - 1 :]
    rest_mass = mpmath.fsum(q[i] for i in rest)
    kept = mpmath.fsum(min(p[i], q[i] / rest_mass) for i in rest)
    return mpmath.fsum(p[i] for i in top) + kept


def sorted_acceptance(p: np.ndarray, q: np.ndarray, num_drafts: int) -> tuple[float, int]:
    """The optimum in extended precision at any size, and how many tokens its set needs."""
    p, q = p.astype(np.longdouble), q.astype(np.longdouble)
    order = np.argsort(-q, kind="stable")
    top, rest = order[: num_drafts - 1], order[num_drafts - 1 :]
    draw = q[rest] / q[rest].sum()
    value = p[top].sum() + np.minimum(p[rest], draw).sum()
    return float(value), int((p[rest] < draw).sum()) + num_drafts - 1
