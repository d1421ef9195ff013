"""What a scheme returns: its rates, and runs of its algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray
from mdbound.bounds.problem.checks import MASS_TOLERANCE

NO_TOKEN = -1
"""Fills a row of `Samples.drafts` where the draft's support was exhausted early."""


@dataclass(frozen=True)
class SchemeRate:
    """Acceptance of a scheme in both senses; floats for one row, arrays for a batch.

    Attributes:
        accept: probability that the scheme's accept step fires.
        membership: probability that the output token is one of the drafted tokens; at least
            `accept`. This is what the bounds of `mdbound.bounds` bound.
        standard_error: 0 where both rates are exact, else the standard error of the estimate
            (of `membership` where only that one is estimated).
        seed: of the random stream behind an estimate; None where nothing is ever estimated.
    """

    accept: float | FloatArray
    membership: float | FloatArray
    standard_error: float | FloatArray
    seed: int | None = None


@dataclass(frozen=True)
class Samples:
    """Independent runs of a scheme at one position.

    Attributes:
        drafts: (size, num_drafts) token ids in the order drafted; `NO_TOKEN` pads a run whose
            draft ran out of tokens.
        output: (size,) token ids.
        accepted: (size,) whether the accept step fired.
    """

    drafts: IntArray
    output: IntArray
    accepted: BoolArray

    @property
    def membership(self) -> BoolArray:
        """Whether the output is among the drafts, for each run: shape (size,)."""
        return np.asarray((self.drafts == self.output[:, None]).any(axis=1))


class RowRates(NamedTuple):
    """Rates of one row, each of shape (N,) for N numbers of drafts."""

    accept: FloatArray
    membership: FloatArray
    standard_error: FloatArray


def exact_rates(accept: FloatArray, membership: FloatArray | None = None) -> RowRates:
    """Rates without error; membership equals accept where it is left out.

    Example:
        >>> exact_rates(np.array([0.5])).membership.tolist()
        [0.5]
    """
    return RowRates(accept, accept if membership is None else membership, np.zeros_like(accept))


ROUNDING = 4.0 * MASS_TOLERANCE
"""What a rate may be outside [0, 1] by: rows may be off 1 by `MASS_TOLERANCE`, and a rate takes
masses of several. More is a fault, and is left to be seen."""


def inside_unit(rates: FloatArray) -> FloatArray:
    """Rates with what rounding left outside [0, 1] put back; NaN stays.

    Example:
        >>> inside_unit(np.array([1.0 + 2.0**-52, -1e-17, 1.5])).tolist()
        [1.0, 0.0, 1.5]
    """
    near = np.clip(rates, 0.0, 1.0)
    return np.where(np.abs(rates - near) <= ROUNDING, near, rates)
