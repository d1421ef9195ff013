"""Laws that an audited rule returns, read without trust."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

from mdbound.audit.numbers import exact_value, written

Outcome = TypeVar("Outcome", bound=Hashable)


class FaultyLawError(ValueError):
    """What a rule returned is no law; the message says why."""


def read_law(
    found: Any, read_outcome: Callable[[Any], Outcome], tolerance: Fraction
) -> dict[Outcome, Fraction]:
    """A law as exact fractions, after refusing what is none.

    Args:
        found: {outcome: probability}, as the rule returned it.
        read_outcome: makes an outcome of a key, or raises ValueError or TypeError.
        tolerance: by how much probabilities may be below 0, or their sum off 1.

    Raises:
        FaultyLawError: no mapping, an impossible outcome, no probabilities, or a sum other than 1.

    Example:
        >>> read_law({0: 0.25, 1: 0.75}, int, Fraction(0))
        {0: Fraction(1, 4), 1: Fraction(3, 4)}
    """
    law: dict[Outcome, Fraction] = {}
    for key, value in _items(found):
        try:
            outcome = read_outcome(key)
        except (ValueError, TypeError, IndexError) as error:
            raise FaultyLawError(f"{key!r} is no possible outcome ({error})") from error
        try:
            mass = exact_value(value)
        except ValueError as error:
            raise FaultyLawError(f"the probability of {key!r}: {error}") from error
        if mass < -tolerance:
            raise FaultyLawError(f"the probability of {key!r} is {written(mass)}, below 0")
        law[outcome] = law.get(outcome, Fraction(0)) + mass
    total = sum(law.values(), Fraction(0))
    if abs(total - 1) > tolerance:
        raise FaultyLawError(f"the probabilities sum to {written(total)}, not 1")
    return law


def _items(found: Any) -> Iterable[tuple[Any, Any]]:
    """Key and value of a mapping, or place and value of a row."""
    if isinstance(found, Mapping):
        return found.items()
    try:
        return list(enumerate(found))
    except TypeError as error:
        kind = type(found).__name__
        raise FaultyLawError(f"a {kind} is no mapping of outcomes to probabilities") from error


def token_reader(vocab_size: int) -> Callable[[Any], int]:
    """Reads a token id, and refuses what is none.

    Example:
        >>> token_reader(3)(2)
        2
    """

    def read(key: Any) -> int:
        token = int(key)
        if token != key or not 0 <= token < vocab_size:
            raise ValueError(f"tokens are 0 to {vocab_size - 1}")
        return token

    return read
