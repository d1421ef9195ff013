"""The rho of K-SEQ that is best for its accept step: a root, by Newton's method in a bracket."""

from __future__ import annotations

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.summation import compensated_add
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.rates.residual_mass import BLOCK

_ROUNDING = 4.0 * 2.0**-53
"""Relative: a step below it is rounding. Less wastes passes on noise, more loses digits."""
_NEWTON_STEPS = 15
"""Six are usual. Where m^n is flat Newton creeps, and halving the bracket takes over."""
_BISECTIONS = 60
"""A pass over the vocabulary each; as many halve [1, n] down to rounding."""


@kernel(fastmath={"reassoc", "nsz", "contract"})
def _block(
    p: FloatArray, q: FloatArray, rho: float, start: int, stop: int
) -> tuple[float, float, float, float]:
    unused = missed = q_unused = p_missed = 0.0
    for i in range(start, stop):
        gap = p[i] - rho * q[i]
        unused += gap if gap > 0.0 else 0.0
        q_unused += q[i] if gap > 0.0 else 0.0
        missed += -gap if gap < 0.0 else 0.0
        p_missed += p[i] if gap < 0.0 else 0.0
    return unused, missed, q_unused, p_missed


@kernel
def _excess(
    p: FloatArray, q: FloatArray, rho: float, num_drafts: int
) -> tuple[float, float, float]:
    # 1 - (1-beta)^n - rho beta written as Z(rho) - m^n, m the sum of max(q - p / rho, 0), so that
    # nothing cancels where almost all is accepted; with its slope, and m^n as the scale of error.
    unused = missed = q_unused = p_missed = unused_lost = missed_lost = 0.0
    for start in range(0, len(p), BLOCK):
        z, m, dz, dm = _block(p, q, rho, start, min(start + BLOCK, len(p)))
        unused, unused_lost = compensated_add(unused, unused_lost, z)
        missed, missed_lost = compensated_add(missed, missed_lost, m)
        q_unused += dz
        p_missed += dm
    miss = (missed + missed_lost) / rho
    all_missed = miss**num_drafts
    slope = -q_unused - num_drafts * miss ** (num_drafts - 1) * p_missed / (rho * rho)
    return unused + unused_lost - all_missed, slope, all_missed


@kernel
def optimal_rho(p: FloatArray, q: FloatArray, num_drafts: int) -> float:
    """The smallest valid rho in [1, n] for n drafts: root of 1 - (1 - beta)^n = rho beta.

    beta(rho) is the sum of min(p / rho, q). Newton's method kept inside a shrinking bracket, one
    pass over V tokens for each step. 1 - Z(rho) increases and 1 - (1 - beta)^n decreases with rho,
    so their difference at the value returned bounds the error of the rate.

    Example:
        >>> import numpy as np
        >>> round(optimal_rho(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 2), 12)
        1.5
    """
    low = 1.0
    high = float(num_drafts)
    rho = low
    for count in range(_NEWTON_STEPS + _BISECTIONS):
        f, slope, scale = _excess(p, q, rho, num_drafts)
        if abs(f) <= _ROUNDING * num_drafts * scale or (f <= 0.0 and rho == low):
            return rho
        if f > 0.0:
            low = rho
        else:
            high = rho
        step = rho - f / slope if slope < 0.0 else high
        if not low < step < high or count >= _NEWTON_STEPS:
            step = 0.5 * (low + high)
        if abs(step - rho) <= _ROUNDING * rho or high - low <= _ROUNDING * low:
            return step
        rho = step
    return rho
