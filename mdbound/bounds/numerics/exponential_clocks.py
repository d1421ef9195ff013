"""Containment of sequential draws without replacement, as an integral over exponential clocks.

Draws without replacement from q have the law of the first n arrivals of independent exponential
clocks with rates q_i. All n arrivals lie in H exactly if n clocks of H ring before the first
clock outside H, which rings at rate W = 1 - q(H). With N_t the clocks of H that rang by t,

    1 - F_n(H) = integral over t > 0 of W e^(-W t) P(N_t < n) dt.                          (1)

Increments use the trapezoid rule in ln t on (1), and so do certificates, by code of their own; the
solver has other nodes (`numerics.clock_quadrature`). On the rotated line t e^(i a) the integrand is
at most cos(a)^(-n) times the integrand of (1) for the time t cos(a), because |1 - e^(-z)| is at
most (1 - e^(-Re z)) / cos(a) there. So a step h leaves at most

    (1 - F_n(H)) * 2 cos(a)^(-n) / (e^(2 pi a / h) - 1)      for every 0 < a < pi/2,       (2)

and `trapezoid_step` picks h from (2).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

FIRST_TIME = 2e-5
"""Nodes start here; below it the integrand is a cubic in t up to 1e-18 and summed in closed form
(the rates sum to 1 and n is at least 3)."""

NEGLIGIBLE = 1e-18
"""Nodes end where what is left of the integral is below this."""


@lru_cache(maxsize=64)
def trapezoid_step(num_drafts: int, error: float = 2e-16) -> float:
    """Largest step h in ln t for which bound (2) stays below `error` for this many drafts.

    Example:
        >>> round(trapezoid_step(3), 2), round(trapezoid_step(8), 2)
        (0.21, 0.17)
    """
    angles = np.linspace(0.5, math.pi / 2 - 1e-3, 2000)
    log_factor = math.log(2.0 / error) - num_drafts * np.log(np.cos(angles))
    return float((2.0 * math.pi * angles / log_factor).max())
