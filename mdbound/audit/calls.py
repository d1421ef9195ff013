"""Calling somebody else's rule: rows in the form it wants, and what it raises, named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np

from mdbound.errors import AuditError

Numbers: TypeAlias = Literal["float", "fraction"]


def rows_for(row: Sequence[Fraction], numbers: Numbers) -> Any:
    """A row as a rule wants it.

    Example:
        >>> rows_for((Fraction(1, 4), Fraction(3, 4)), "float")
        array([0.25, 0.75])
    """
    if numbers == "fraction":
        return tuple(row)
    return np.array([float(mass) for mass in row])


def call(rule: Callable[..., Any], arguments: tuple[Any, ...], where: str) -> Any:
    """The rule's answer.

    Args:
        rule: somebody else's function.
        arguments: what it is given.
        where: for the message.

    Raises:
        AuditError: it raised.

    Example:
        >>> call(lambda a, b: a / b, (1, 0), "problem halves")
        Traceback (most recent call last):
        mdbound.errors.AuditError: the rule raised ZeroDivisionError: division by zero (problem
        halves); a rule has to answer for every list that can be drafted
    """
    try:
        return rule(*arguments)
    except Exception as error:
        raise AuditError(
            f"the rule raised {type(error).__name__}: {error} ({where}); a rule has to answer for "
            "every list that can be drafted"
        ) from error
