"""The distributions of a batch at one setting, each made once for every law, scheme and n."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds
from mdbound.analysis.solving.setting import SolveSetting

Floats: TypeAlias = NDArray[np.float64]
Logits: TypeAlias = Any
"""Raw logits (B, V): a float32 array, or a torch tensor of any float type on any device."""


class TargetRows:
    """Target of a batch: logits on the setting's vocabulary, distribution and entropy.

    Args:
        logits: Raw logits per model, (B, V).
        setting: Gives vocabulary and warpers.
    """

    def __init__(self, logits: Mapping[str, Logits], setting: SolveSetting) -> None:
        self._logits = logits
        self._setting = setting

    @cached_property
    def logits(self) -> Logits:
        """Target logits, -inf outside the vocabulary: (B, V)."""
        return self.restricted("target")

    @cached_property
    def distribution(self) -> Floats:
        """Target distribution: (B, V)."""
        return _warped(self.logits, self._setting.warpers)

    @cached_property
    def entropy(self) -> Floats:
        """Entropy of the target in nats: (B,)."""
        warpers = self._setting.warpers
        return to_array(bounds.entropy_from_logits(self.logits, **warpers.as_dict()))

    def restricted(self, model: str) -> Logits:
        """Logits of a model on the setting's vocabulary."""
        kept = self._vocabulary
        if kept is None:
            return self._logits[model]
        logits = self._logits[model]
        if isinstance(logits, np.ndarray):
            return np.where(kept, logits, np.float32(-np.inf))
        return logits.masked_fill(~kept, -np.inf)

    @cached_property
    def _vocabulary(self) -> Any:
        setting = self._setting
        if setting.vocabulary_size is None:
            return None
        owner = "target" if setting.vocabulary_of == "target" else setting.drafts[0]
        return most_likely(self._logits[owner], setting.vocabulary_size)


class DraftRows:
    """Drafts of a batch at one setting.

    Args:
        target: The target rows they go with.
        setting: Gives models and warpers.
    """

    def __init__(self, target: TargetRows, setting: SolveSetting) -> None:
        self.logits = [target.restricted(name) for name in setting.drafts]
        self._setting = setting

    @cached_property
    def distributions(self) -> list[Floats]:
        """One (B, V) array per draft of the setting."""
        pairs = zip(self.logits, self._setting.draft_warpers, strict=True)
        return [_warped(rows, warpers) for rows, warpers in pairs]


def _warped(logits: Logits, warpers: bounds.Warpers) -> Floats:
    """Distributions as an array: (B, V)."""
    return to_array(bounds.distribution_from_logits(logits, **warpers.as_dict()))


def target_key(setting: SolveSetting) -> tuple[object, ...]:
    """Settings with this key in common share `TargetRows`."""
    owner = setting.vocabulary_of
    vocabulary = (setting.vocabulary_size, owner, setting.drafts[0] if owner == "draft" else None)
    return setting.warpers, vocabulary


def draft_key(setting: SolveSetting) -> tuple[object, ...]:
    """Settings with this key and their target in common share `DraftRows`."""
    return setting.drafts, setting.draft_temperatures


def most_likely(logits: Logits, size: int) -> Any:
    """Mark the `size` largest logits of each row, and what ties with the last of them.

    Example:
        >>> most_likely(np.array([[1.0, 3.0, 2.0]], np.float32), 2).tolist()
        [[False, True, True]]
    """
    size = min(size, logits.shape[1])
    if isinstance(logits, np.ndarray):
        return logits >= np.partition(logits, -size, axis=1)[:, -size, None]
    return logits >= logits.topk(size, dim=1).values[:, -1:]


def to_array(values: Any) -> NDArray[Any]:
    """An array as it is, a tensor as an array on the host.

    Example:
        >>> to_array(np.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return values if isinstance(values, np.ndarray) else np.asarray(values.cpu())
