"""How much probability each side puts on tokens that the other lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.logit_columns import Int64Array, LogitColumns
from mdbound.logits_cache.store.manifest import TARGET
from mdbound.logits_cache.store.summary import softmax


class MassOutside:
    """Sums up, row by row, the probability at temperature 1 on tokens that the other side lacks.

    Args:
        target: which tokens the target has; None if all.
        drafts: the same of each draft, by its name.
    """

    def __init__(
        self, target: LogitColumns | None, drafts: Mapping[str, LogitColumns | None]
    ) -> None:
        self._target_lacks = None if target is None else target.lacking
        self._draft_lacks: dict[str, Int64Array] = {
            name: columns.lacking for name, columns in drafts.items() if columns is not None
        }
        self._of_target = dict.fromkeys(self._draft_lacks, 0.0)
        self._of_draft = dict.fromkeys(() if target is None else drafts, 0.0)
        self._rows: dict[str, int] = {}

    @classmethod
    def of(cls, models: Sequence[LanguageModel]) -> MassOutside:
        """Of loaded models, the target first."""
        target, *drafts = models
        return cls(target.columns, {model.record.name: model.columns for model in drafts})

    @property
    def needs_target(self) -> bool:
        """Whether a draft lacks tokens, so that rows of the target count."""
        return bool(self._draft_lacks)

    def add(self, model: str, logits: Any) -> None:
        """Take note of a model's stored logits, an array or tensor of shape (rows, V)."""
        self._rows[model] = self._rows.get(model, 0) + len(logits)
        if model == TARGET and self._draft_lacks:
            probabilities = _probabilities(logits)
            for name, lacking in self._draft_lacks.items():
                self._of_target[name] += float(probabilities[:, lacking].sum())
        if model != TARGET and self._target_lacks is not None:
            self._of_draft[model] += float(_probabilities(logits)[:, self._target_lacks].sum())

    def means(self) -> dict[str, dict[str, float]]:
        """Means over the rows so far, as the arguments of `ShardInfo` that record them."""
        rows = self._rows
        return {
            "target_mass_outside": {
                name: total / rows[TARGET] for name, total in self._of_target.items()
            },
            "draft_mass_outside": {
                name: total / rows[name] for name, total in self._of_draft.items()
            },
        }


def _probabilities(logits: Any) -> Any:
    if isinstance(logits, np.ndarray):
        return softmax(logits)
    return logits.double().softmax(-1)
