"""Target and drafts as rows of raw logits, each with its warpers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np

from mdbound.bounds.problem.checks import check_logits_shape
from mdbound.bounds.problem.warpers import Warpers, check_temperature
from mdbound.errors import InvalidDistributionError, InvalidSettingError

Rows = TypeVar("Rows")
"""Arrays or tensors of shape (B, V)."""


@dataclass(frozen=True, eq=False)
class LogitsProblem(Generic[Rows]):
    """What the bounds are asked for logits, but for the law and the number of drafts.

    Attributes:
        target: rows of logits (B, V), of arrays or tensors.
        drafts: one such batch for each draft distribution.
        warpers: of the target.
        draft_warpers: of each draft.

    Raises:
        InvalidDistributionError: rows without tokens, or batches of different shapes.

    Example:
        >>> rows = np.zeros((2, 3))
        >>> LogitsProblem(rows, (rows,), Warpers(), (Warpers(0.5),)).draft_temperatures
        [0.5]
    """

    target: Rows
    drafts: tuple[Rows, ...]
    warpers: Warpers
    draft_warpers: tuple[Warpers, ...]

    def __post_init__(self) -> None:
        shape, *others = (tuple(rows.shape) for rows in self.batches)
        for other in others:
            if other != shape:
                raise InvalidDistributionError(
                    f"target logits have shape {shape} and draft logits {other}: "
                    "give the same vocabulary and the same number of rows"
                )
        check_logits_shape(shape)

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.batches[0].shape[1])

    @property
    def batches(self) -> tuple[Any, ...]:
        """The rows of the target and of each draft."""
        return (self.target, *self.drafts)

    @property
    def all_warpers(self) -> tuple[Warpers, ...]:
        """The warpers of the target and of each draft."""
        return (self.warpers, *self.draft_warpers)

    @property
    def draft_temperatures(self) -> list[float]:
        """Temperature of each draft."""
        return [warpers.temperature for warpers in self.draft_warpers]


def pair_drafts(
    draft_logits: Any,
    warpers: Warpers,
    draft_temperature: float | Sequence[float] | None,
    several: bool,
) -> tuple[list[Any], list[Warpers]]:
    """The logits of each draft distribution and what warps them.

    Args:
        draft_logits: (V,) or (B, V); with `several` a sequence of these, or one of them, which a
            sequence of temperatures turns into as many drafts. Arrays or tensors.
        warpers: of the target; the drafts differ from it by their temperature alone.
        draft_temperature: one for all drafts or, with `several`, one for each; None takes the
            target's.
        several: whether the law takes a distribution for each draft.

    Raises:
        InvalidSettingError: a temperature out of range, or not one for each draft.

    Example:
        >>> drafts, each = pair_drafts(np.zeros(3), Warpers(), [0.5, 1.5], several=True)
        >>> len(drafts), [one.temperature for one in each]
        (2, [0.5, 1.5])
    """
    if draft_temperature is None:
        draft_temperature = warpers.temperature
    if not several:
        if not np.isscalar(draft_temperature):
            raise InvalidSettingError(
                f"draft_temperature is {draft_temperature}: this draft law takes one number"
            )
        drafts, temperatures = [draft_logits], [draft_temperature]
    else:
        one_array = getattr(draft_logits, "ndim", 3) < 3
        if np.isscalar(draft_temperature):
            drafts = [draft_logits] if one_array else list(draft_logits)
            temperatures = [draft_temperature] * len(drafts)
        else:
            temperatures = list(cast(Sequence[float], draft_temperature))
            drafts = [draft_logits] * len(temperatures) if one_array else list(draft_logits)
    if len(drafts) != len(temperatures):
        raise InvalidSettingError(
            f"{len(temperatures)} draft temperatures for {len(drafts)} drafts: give one each"
        )
    return drafts, [warpers.at(check_temperature(one, "draft_temperature")) for one in temperatures]
