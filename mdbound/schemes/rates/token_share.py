"""The share of one token's target mass that a scheme puts out as a drafted token."""

from __future__ import annotations

import math

from mdbound.bounds.problem.array_types import FloatArray


def capped_share(inside: float, wanted: float) -> float:
    """min(inside, wanted) / wanted, with no overflow where `wanted` is tiny.

    Example:
        >>> capped_share(0.25, 0.5), capped_share(1.0, 5e-324)
        (0.5, 1.0)
    """
    return 1.0 if inside >= wanted else float(inside / wanted)


def drafted_probability(drafts: list[FloatArray], token: int) -> float:
    """P(a token is among independent drafts, one from each law), without cancellation.

    Example:
        >>> import numpy as np
        >>> half = np.array([0.5, 0.5])
        >>> drafted_probability([half, half], 0)
        0.75
    """
    masses = [float(q[token]) for q in drafts]
    if max(masses, default=0.0) >= 1.0:
        return 1.0
    return -math.expm1(math.fsum(math.log1p(-mass) for mass in masses))
