"""Nodes of the integral over exponential clocks, shared by every prefix of a row.

Draws without replacement are the first n arrivals of exponential clocks with rates q_i, so with
W = 1 - q(H) and N_t the clocks of H that rang by time t (`numerics.exponential_clocks`),

    1 - F_n(H) = integral over t > 0 of W e^(-W t) P(N_t < n) dt.

Here t = exp(u - e^(-u)), and the trapezoid rule is used in u: towards small t the integrand then
falls off doubly exponentially, which halves the number of nodes against t = e^u. The nodes depend
on n alone, so all prefixes, tokens and n share them.

The error is at most 2 M / (e^(2 pi y / h) - 1) for step h, if the integrand's absolute value
integrates to at most M along Im u = +-y. With z = t(u) on that line, two bounds hold whatever the
rates are (their sum is 1; at most n - 1 clocks have rung in each term of P(N_z < n)):

    Re z > 0:  |1 - e^(-q z)| <= (1 - e^(-q Re z)) |z| / Re z, so the integrand is at most
               (|z| / Re z)^(n-1) times the one at the real time Re z, which integrates to <= 1;
    any z:     the integrand is at most exp(|z| + max(0, -Re z)).

`node_step` uses the second up to some Re u, the first from there on.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray

LAST_NODE = 704.0
"""u of the last node tabulated: t = 1e305, for draft masses down to 1e-303."""

KERNEL_DRAFTS = 8
"""Rules are made for at least so many drafts: `laws.without_replacement` unrolls them."""

FIRST_NODE = -2.42
"""u of the first node (t = 1e-6): before it P(N_t < n) is 1 up to 1e-12 for n >= 2, and the
integral over it up to 1e-18."""

NUM_POWERS = 24
"""Power sums kept of the light tokens, see `laws.without_replacement.ring_law`."""

FAINT_POWERS = 12
"""Power sums kept of the faint tokens."""

_NEGLIGIBLE_LOG = -39.5  # e^-39.5 = 7e-18: what may be left of the integral behind the last node


class ClockQuadrature(NamedTuple):
    """The quadrature for n = 1..N.

    Attributes:
        times: t of the nodes, ascending, up to `LAST_NODE`.
        weights: step times dt/du.
        early: sum of the weights before the first node.
        early_time: sum of weight * t before the first node.
        rung_needed: once this many clocks are expected to have rung, P(N_t < N) is negligible.
        series: c[k, r] of (e^x - 1)^k = sum over r of c[k, r] x^r, shape (N, NUM_POWERS + 1).
        light_limit: largest rate * t at the last node of a light token.
        faint_limit: largest one at which `FAINT_POWERS` power sums are enough.
    """

    times: FloatArray
    weights: FloatArray
    early: float
    early_time: float
    rung_needed: float
    series: FloatArray
    light_limit: float
    faint_limit: float


@lru_cache(maxsize=16)
def clock_quadrature(max_drafts: int) -> ClockQuadrature:
    """Nodes and constants for up to `max_drafts` draws, or `KERNEL_DRAFTS` if that is more.

    Example:
        >>> rule = clock_quadrature(8)
        >>> W = 0.25  # without any clock in H, 1 - F is the integral of W e^(-W t), which is 1
        >>> found = (rule.weights * W * np.exp(-W * rule.times)).sum() + W * rule.early
        >>> bool(abs(found - 1.0) < 1e-11)
        True
    """
    count = max(max_drafts, KERNEL_DRAFTS)
    step = node_step(count)
    times, weights = _nodes(np.arange(FIRST_NODE, LAST_NODE, step), step)
    early_times, early_weights = _nodes(FIRST_NODE - step * np.arange(1.0, 40.0), step)
    return ClockQuadrature(
        times,
        weights,
        float(early_weights.sum()),
        float((early_weights * early_times).sum()),
        rung_needed(count),
        expm1_powers(count),
        token_limit(count, NUM_POWERS),
        token_limit(count, FAINT_POWERS),
    )


def _nodes(u: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    times = np.exp(u - np.exp(-u))
    return times, step * times * (1.0 + np.exp(-u))


@lru_cache(maxsize=16)
def node_step(max_drafts: int, error: float = 2e-16) -> float:
    """Largest step h in u whose error bound (see the module) stays below `error`.

    Example:
        >>> round(node_step(8), 3)
        0.163
    """
    x = np.linspace(-4.5, 40.0, 20001)
    best = 0.0
    for height in np.linspace(0.8, 1.5, 71):
        magnitude = _magnitude_on_line(x, height, max_drafts)
        best = max(best, 2.0 * math.pi * height / math.log1p(2.0 * magnitude / error))
    return float(best)


def _magnitude_on_line(x: FloatArray, height: float, max_drafts: int) -> float:
    """Bound on the integral of |integrand| along Im u = height; inf if there is none."""
    u = x + 1j * height
    z = np.exp(u - np.exp(-u))
    derivative = z * (1.0 + np.exp(-u))
    any_time = np.abs(derivative) * np.exp(np.minimum(np.abs(z) - np.minimum(z.real, 0.0), 500.0))
    up_to = np.concatenate([[0.0], np.cumsum(0.5 * (any_time[1:] + any_time[:-1]) * np.diff(x))])
    safe = (z.real > 0.0) & (derivative.real > 0.0)
    forward = np.full(len(x), np.inf)
    with np.errstate(over="ignore"):  # infinite where the estimate is of no use
        forward[safe] = (np.abs(z[safe]) / z[safe].real) ** (max_drafts - 1) * (
            np.abs(derivative[safe]) / derivative[safe].real
        )
    from_here_on = np.maximum.accumulate(forward[::-1])[::-1]
    return float((up_to + from_here_on).min())


def rung_needed(max_drafts: int) -> float:
    """Expected number of rung clocks beyond which P(N < max_drafts) is below e^-39.5.

    Chernoff: P(N < n) <= e^-mu (e mu / n)^n for a sum N of independent indicators of mean mu > n.

    Example:
        >>> 60 < rung_needed(8) < 70
        True
    """
    mean = max_drafts + 1.0
    while max_drafts * (1.0 + math.log(mean / max_drafts)) - mean > _NEGLIGIBLE_LOG:
        mean += 0.25
    return mean


@lru_cache(maxsize=32)
def expm1_powers(count: int, orders: int = NUM_POWERS) -> FloatArray:
    """Coefficients c[k, r] of (e^x - 1)^k = sum over r of c[k, r] x^r, k < count, r <= orders.

    Example:
        >>> expm1_powers(3)[2, :4].round(4).tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    series = np.zeros((count, orders + 1))
    series[0, 0] = 1.0
    for k in range(1, count):
        for r in range(k, orders + 1):
            # Stirling numbers of the second kind in the scaling k! S(r, k) / r!.
            series[k, r] = k * (series[k, r - 1] + series[k - 1, r - 1]) / r
    return series


@lru_cache(maxsize=32)
def token_limit(max_drafts: int, powers: int) -> float:
    """A large x for which so many power sums of rates * t <= x are enough.

    Dropped terms may change P(N_t = m), m < N, by 1e-17 for each order k: tokens of mean
    number mu leave at most e^(-mu) max over j of mu^j / j! of the others and (mu / x) dropped_k(x)
    / k. And x is at most 4 / N, so that Newton's identities cancel little.

    Example:
        >>> round(token_limit(8, NUM_POWERS), 3), round(token_limit(8, FAINT_POWERS), 3)
        (0.295, 0.04)
    """
    orders = powers + 48
    series = expm1_powers(max_drafts, orders)
    limit = 0.5
    while True:
        dropped = series[:, powers + 1 :] @ limit ** np.arange(powers + 1.0, orders + 1)
        if limit * max_drafts <= 4.0 and _largest_change(dropped, limit) <= 1e-17:
            return limit
        limit *= 0.9


def _largest_change(dropped: FloatArray, limit: float) -> float:
    largest = 0.0
    for mean in limit * 2.0 ** np.arange(0.0, 18.0, 0.25):
        for k in range(1, len(dropped)):
            others = max(j * math.log(mean) - math.lgamma(j + 1) for j in range(len(dropped) - k))
            change = math.exp(others - mean) * (mean / limit) * dropped[k] / k
            largest = max(largest, change)
    return largest
