"""Oracle of the optimum of independent drafts: every set, without rounding or in many digits.

Masses are integers: float64 numbers are multiples of 2^-1074. Adding copies of a token one by one
makes p(H) - q_1(H) ... q_K(H) a concave function of their number, so with a few kinds of equal
tokens only sets that hold all or none of each kind can be optimal, at any vocabulary size.
"""

from __future__ import annotations

from fractions import Fraction

import mpmath

UNIT = 1074


def units(probability):
    return int(Fraction(float(probability)) * 2**UNIT)


def exact_optima(p, drafts, copies):
    """1 + min over all sets of p(H) - q_1(H) ... q_n(H) for n = 1..K, as fractions."""
    rows = [[units(x) * int(c) for x, c in zip(row, copies, strict=True)] for row in (p, *drafts)]
    best = [Fraction(0)] * len(drafts)
    sums = [[0] for _ in rows]
    for row, kept in zip(rows, sums, strict=True):
        for x in row:
            kept += [known + x for known in kept]
    for p_inside, *inside in zip(*sums, strict=True):
        product = 1
        for n, mass in enumerate(inside):
            product *= mass
            excess = (p_inside << (UNIT * n)) - product
            if excess < 0:
                best[n] = min(best[n], Fraction(excess, 1 << (UNIT * (n + 1))))
    return [1 + value for value in best]


def digits_optima(p, drafts):
    """The optima for n = 1..K at mpmath's working precision."""
    sums = [[mpmath.mpf(0)] for _ in range(len(drafts) + 1)]
    for row, kept in zip((p, *drafts), sums, strict=True):
        for x in row:
            kept += [known + x for known in kept]
    best = [mpmath.mpf(1)] * len(drafts)
    for p_inside, *inside in zip(*sums, strict=True):
        product = mpmath.mpf(1)
        for n, mass in enumerate(inside):
            product *= mass
            best[n] = min(best[n], 1 + p_inside - product)
    return best
