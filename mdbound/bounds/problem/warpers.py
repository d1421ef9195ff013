"""How logits become a distribution: the warpers of `transformers`, as one value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from mdbound.errors import InvalidSettingError

SMALLEST_TEMPERATURE = 1e-300
"""Temperatures between 0 and this are refused: their inverse is close to overflow."""


@dataclass(frozen=True)
class Warpers:
    """Temperature, top-k, top-p and min-p, in this order and with the ties of `transformers`.

    The names of the fields are the names of the arguments of the functions that take logits, and
    of the record: `distribution_from_logits(logits, **warpers.as_dict())`. Rows are warped by
    `numerics.warped_softmax`, and by `device.logits` where they are tensors.

    Attributes:
        temperature: divides the logits; 0 is the argmax, ties to the lower token id.
        top_k: every token at or above the k-th largest logit stays; None keeps all.
        top_p: the most likely tokens stay until their mass reaches this; None keeps all.
        min_p: every token at least this times as likely as the most likely one stays; None
            keeps all.

    Raises:
        InvalidSettingError: a temperature below 0 or too small to invert, a top-k below 1, a
            top-p outside (0, 1], a min-p outside [0, 1].

    Example:
        >>> Warpers(0.7, top_k=50)
        Warpers(temperature=0.7, top_k=50, top_p=None, min_p=None)
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        # As plain numbers, so that values that are equal are recorded alike, and as JSON.
        object.__setattr__(self, "temperature", check_temperature(self.temperature))
        object.__setattr__(self, "top_k", _check_top_k(self.top_k))
        object.__setattr__(self, "top_p", _check_top_p(self.top_p))
        object.__setattr__(self, "min_p", _check_min_p(self.min_p))

    def at(self, temperature: float) -> Warpers:
        """The same warpers at another temperature.

        Example:
            >>> Warpers(0.7, top_k=50).at(1.0)
            Warpers(temperature=1.0, top_k=50, top_p=None, min_p=None)
        """
        return replace(self, temperature=temperature)

    def is_softmax(self, vocab_size: int) -> bool:
        """Whether all they do to rows of so many tokens is a softmax at a temperature above 0.

        Example:
            >>> Warpers(top_k=50).is_softmax(50), Warpers(top_k=50).is_softmax(51)
            (True, False)
        """
        all_tokens = self.top_k is None or self.top_k >= vocab_size
        untruncated = all_tokens and self.top_p in (None, 1.0) and self.min_p in (None, 0.0)
        return self.temperature > 0.0 and untruncated

    def as_dict(self) -> dict[str, Any]:
        """The warpers as they are recorded everywhere, in plain JSON values.

        Example:
            >>> Warpers(top_p=0.9).as_dict()
            {'temperature': 1.0, 'top_k': None, 'top_p': 0.9, 'min_p': None}
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, recorded: Mapping[str, Any]) -> Warpers:
        """The warpers of a record; what an older one lacks was not applied.

        Raises:
            InvalidSettingError: a value out of range, or a warper that is not known here.

        Example:
            >>> Warpers.from_dict({"temperature": 0.5})
            Warpers(temperature=0.5, top_k=None, top_p=None, min_p=None)
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in recorded if name not in known]
        if unknown:
            raise InvalidSettingError(
                f"warper {unknown[0]!r} is not one of {', '.join(known)}: a newer mdbound may "
                "know it"
            )
        return cls(**recorded)


def check_temperature(temperature: Any, name: str = "temperature") -> float:
    """Return a temperature as a float, or refuse it.

    Args:
        temperature: the value.
        name: what to call it in a message, such as "draft_temperature".

    Raises:
        InvalidSettingError: not finite, below 0, or above 0 and below `SMALLEST_TEMPERATURE`.

    Example:
        >>> check_temperature(1)
        1.0
    """
    if not _is_number(temperature) or not (math.isfinite(temperature) and temperature >= 0.0):
        raise InvalidSettingError(f"{name} is {temperature}: give a finite number, 0 or more")
    if 0.0 < temperature < SMALLEST_TEMPERATURE:
        raise InvalidSettingError(
            f"{name} is {temperature}: give 0, or at least {SMALLEST_TEMPERATURE}"
        )
    return float(temperature)


def _check_top_k(top_k: Any) -> int | None:
    if top_k is None:
        return None
    if not (_is_number(top_k) and isinstance(top_k, Integral)):
        raise InvalidSettingError(
            f"top_k is {top_k!r}: give a whole number, 1 or more, or leave it out"
        )
    if top_k < 1:
        raise InvalidSettingError(f"top_k is {top_k}: give 1 or more, or leave it out")
    return int(top_k)


def _check_top_p(top_p: Any) -> float | None:
    if top_p is None:
        return None
    if not (_is_number(top_p) and 0.0 < top_p <= 1.0):
        raise InvalidSettingError(f"top_p is {top_p}: give a number in (0, 1], or leave it out")
    return float(top_p)


def _check_min_p(min_p: Any) -> float | None:
    if min_p is None:
        return None
    if not (_is_number(min_p) and 0.0 <= min_p <= 1.0):
        raise InvalidSettingError(f"min_p is {min_p}: give a number in [0, 1], or leave it out")
    return float(min_p)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)
