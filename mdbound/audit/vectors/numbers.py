"""Numbers of a file that is the same on every machine."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

DIGITS = 9
"""Of what compiled kernels compute: processors differ in the sixteenth digit, and with more digits
kept one number in a file of many thousands would now and then be rounded the other way."""


def number(value: Any) -> float:
    """The nearest float of a fraction; of a float its first nine digits.

    Example:
        >>> number(Fraction(1, 3)), number(0.12345678987654321)
        (0.3333333333333333, 0.12345679)
    """
    if isinstance(value, Fraction | int):
        return float(value)
    found = float(f"{float(value):.{DIGITS}g}")
    return 0.0 if abs(found) < 1e-14 else found  # the rounding of a sum that is 0
