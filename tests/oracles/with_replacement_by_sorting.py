"""Oracle of the optimum with replacement: all prefixes of the sorted vocabulary, at any size.

In rational numbers, in mpmath's, or in extended precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import mpmath
import numpy as np

Row = np.ndarray


def exact_margin(target: Row, draft: Row, num_drafts: int) -> Fraction:
    """Least p(H) - q(H)^n over the non-empty prefixes of the exact order q/p, in fractions."""
    pairs = [
        (Fraction(float(p)), Fraction(float(q)))
        for p, q in zip(target, draft, strict=True)
        if q > 0.0
    ]
    pairs.sort(key=lambda pair: pair[0] / pair[1])
    p_in = q_in = Fraction(0)
    margins = []
    for p, q in pairs:
        p_in += p
        q_in += q
        margins.append(p_in - q_in**num_drafts)
    return min(margins)


def exact_acceptance(target: Row, draft: Row, num_drafts: int) -> Fraction:
    """The optimum of the given floats in fractions: 1 + the least margin, or 1 by the empty set."""
    return 1 + min(Fraction(0), exact_margin(target, draft, num_drafts))


def digits_curve(
    p: Sequence[mpmath.mpf], q: Sequence[mpmath.mpf], max_drafts: int
) -> list[mpmath.mpf]:
    """The optima for n = 1..N at mpmath's working precision."""
    pairs = sorted(((a, b) for a, b in zip(p, q, strict=True) if b), key=lambda x: x[0] / x[1])
    best = [mpmath.mpf(0)] * max_drafts
    p_in = q_in = mpmath.mpf(0)
    for a, b in pairs:
        p_in, q_in = p_in + a, q_in + b
        best = [min(x, p_in - q_in**n) for n, x in enumerate(best, start=1)]
    return [1 + x for x in best]


def sorted_curve(target: Row, draft: Row, max_drafts: int) -> Row:
    """The optima for n = 1..N, sums in extended precision."""
    order = np.flatnonzero(draft > 0.0)
    with np.errstate(over="ignore"):
        order = order[np.argsort(target[order] / draft[order], kind="stable")]
    p_prefix = np.cumsum(target[order].astype(np.longdouble))
    q_prefix = np.cumsum(draft[order].astype(np.longdouble))
    return np.array(
        [
            1.0 + min(0.0, float((p_prefix - q_prefix**n).min(initial=0.0)))
            for n in range(1, max_drafts + 1)
        ]
    )
