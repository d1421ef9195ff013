"""Oracle of draws without replacement: F_n of prefixes by an integral, and the optimum over all.

Draws without replacement are the first n arrivals of exponential clocks with rates q_i, so with W
the mass outside a prefix and N_t its clocks that rang by t,

    1 - F_n = integral over ln t of W t e^(-W t) P(N_t < n),

here as a plain sum over equal steps, on which every prefix is looked at and none is searched for.
A step h leaves at most 2 cos(a)^-n / (e^(2 pi a / h) - 1) for any a < pi/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np

Row = np.ndarray

STEP = 0.12
"""Leaves less than 1e-17 up to n = 20: at a = 1.1, 7.3e6 / e^57.6."""

EARLIEST = -40.0
"""Logarithm of the first time: what is before is W t = 4e-18 at most."""

LATEST = 45.0
"""W t at the last time, where e^(-W t) is 3e-20."""


def prefix_containments(
    rates: Row, max_drafts: int, sizes: Sequence[int] | None = None, dtype: Any = np.float64
) -> Row:
    """F_n of the prefixes of the given sizes, all by default, shape (sizes, N).

    Args:
        rates: draft masses in the order of the prefixes, all positive; ratios matter.
        max_drafts: N.
        sizes: how many tokens each prefix holds, ascending.
        dtype: in which precision, such as `np.longdouble`.
    """
    rates = rates.astype(np.longdouble)
    rates = rates / rates.sum()
    outside = np.append(np.cumsum(rates[::-1])[::-1], 0.0).astype(dtype)
    rates = rates.astype(dtype)
    sizes = range(len(rates) + 1) if sizes is None else sizes
    latest = float(np.log(LATEST / outside[min(sizes[-1], len(rates) - 1)]))
    # In float64 a logarithm of 600 would be right to 1e-13 only, and so the time.
    nodes = np.arange(int(EARLIEST / STEP), int(latest / STEP) + 2).astype(np.longdouble)
    times = np.exp(nodes * STEP).astype(dtype)
    law = np.zeros((max_drafts, len(times)), dtype=dtype)
    law[0] = 1.0
    found = np.zeros((len(sizes), max_drafts), dtype=dtype)
    row = 0
    for size in range(sizes[-1] + 1):
        if size > 0:
            silent = np.exp(-rates[size - 1] * times)
            rung = -np.expm1(-rates[size - 1] * times)
            law[1:] = law[1:] * silent + law[:-1] * rung
            law[0] *= silent
        if size == sizes[row]:
            weight = STEP * outside[size] * times * np.exp(-outside[size] * times)
            found[row] = 1.0 - np.cumsum((law * weight).sum(axis=1))
            found[row, size:] = 0.0  # more drafts than tokens
            if size == len(rates):
                found[row] = 1.0
            row += 1
    return found


def sorted_curve(target: Row, draft: Row, max_drafts: int) -> Row:
    """The optima for n = 1..N over all prefixes of the order q/p."""
    order = np.flatnonzero(draft > 0.0)
    with np.errstate(over="ignore"):
        order = order[np.argsort(target[order] / draft[order], kind="stable")]
    masses = np.append(0.0, np.cumsum(target[order].astype(np.longdouble)))
    contained = prefix_containments(draft[order], max_drafts)
    return 1.0 + (masses[:, None] - contained).min(axis=0).astype(np.float64)


def digits_containments(
    rates: Sequence[mpmath.mpf], max_drafts: int, step: float
) -> list[list[mpmath.mpf]]:
    """F_1 .. F_N of every prefix at mpmath's working precision; rates must sum to 1."""
    outside = [mpmath.fsum(rates[k:]) for k in range(len(rates) + 1)]
    missing = [[mpmath.mpf(0)] * max_drafts for _ in outside]
    step = mpmath.mpf(step)
    last = mpmath.log(LATEST / rates[-1]) / step
    for node in range(-int(2 * mpmath.mp.dps / step), int(last) + 1):
        t = mpmath.exp(node * step)
        law = [mpmath.mpf(1)] + [mpmath.mpf(0)] * (max_drafts - 1)
        for size in range(len(rates)):
            weight = step * outside[size] * t * mpmath.exp(-outside[size] * t)
            below = mpmath.mpf(0)
            for n in range(max_drafts):
                below += law[n]
                missing[size][n] += weight * below
            silent = mpmath.exp(-rates[size] * t)
            for m in range(max_drafts - 1, 0, -1):
                law[m] = law[m] * silent + law[m - 1] * (1 - silent)
            law[0] *= silent
    return [[1 - value for value in row] for row in missing]
