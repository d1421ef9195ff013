"""Numbers of audited rules: their exact values, and how a report writes them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

_WRITTEN = 10**7
"""Largest denominator that is written out; above, a decimal says more."""
_SMALL = 10**4
"""Largest denominator that is seen in a float: larger ones come that near to any number."""
_ROUNDING = Fraction(1, 10**12)
"""A float this near to such a fraction is written as it: 3/10 says more than its rounding."""


def exact_value(value: Any) -> Fraction:
    """The exact value of a number of any kind: whole, fraction, float, of numpy or torch.

    Raises:
        ValueError: no number, not finite, or a text that is no fraction.

    Example:
        >>> exact_value(0.5), exact_value("3/8")
        (Fraction(1, 2), Fraction(3, 8))
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} is no number")
    if isinstance(value, int | str):
        return Fraction(value)
    try:
        number = float(value)
    except TypeError as error:
        raise ValueError(f"{value!r} is no number") from error
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return Fraction(number)


def written(value: Fraction) -> str:
    """A fraction where it is a small one, up to rounding, else a decimal.

    Example:
        >>> written(Fraction(0.1) + Fraction(0.2)), written(Fraction(1, 3**20))
        ('3/10', '2.867972e-10')
    """
    if value.denominator <= _WRITTEN:
        return str(value)
    near = value.limit_denominator(_SMALL)
    # Of a value below 1e-12 the nearest small fraction is 0, which it is not.
    if near != 0 and abs(value - near) <= _ROUNDING:
        return str(near)
    return f"{float(value):.7g}"
