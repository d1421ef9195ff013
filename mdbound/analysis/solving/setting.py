"""One setting to solve for: draft law, models, warpers, numbers of drafts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mdbound import bounds
from mdbound.analysis.solving.results import BOUND


@dataclass(frozen=True)
class SolveSetting:
    """One way to draft and to sample; all values of `num_drafts` share one pass over the logits.

    Attributes:
        sampling: A draft law, one of `mdbound.bounds.SAMPLING_LAWS`.
        drafts: Draft model names: one per draft distribution where the law has several (such as
            `"independent"`), else one.
        warpers: Of the target. The drafts differ from them by their temperature alone.
        draft_temperatures: Same length as `drafts`.
        num_drafts: The n to report, increasing. Of several distributions, n uses the first n.
        vocabulary_size: Tokens that target and drafts are restricted to and renormalised on, the
            same ones for all, or None for the whole vocabulary. (Top-k keeps each distribution's
            own most likely tokens.)
        vocabulary_of: Whose most likely tokens they are: `"target"`, or `"draft"` (the first).
        scheme: `"bound"`, or the verification scheme whose rate is wanted.
        scheme_options: Constructor options of the scheme, as (name, value) pairs.

    Example:
        >>> SolveSetting(
        ...     "with_replacement", ("small",), bounds.Warpers(0.7), (1.2,)
        ... ).draft_label
        'small'
    """

    sampling: str
    drafts: tuple[str, ...]
    warpers: bounds.Warpers
    draft_temperatures: tuple[float, ...]
    num_drafts: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    vocabulary_size: int | None = None
    vocabulary_of: str | None = None
    scheme: str = BOUND
    scheme_options: tuple[tuple[str, int], ...] = ()

    @property
    def has_several_distributions(self) -> bool:
        """Whether each draft is drawn from a distribution of its own."""
        return self.sampling in laws_of_several_distributions()

    @property
    def draft_warpers(self) -> tuple[bounds.Warpers, ...]:
        """Of each draft."""
        return tuple(self.warpers.at(each) for each in self.draft_temperatures)

    @property
    def draft_label(self) -> str:
        """Draft names as one string: `small`, or `small|smaller` for several models."""
        return "|".join(dict.fromkeys(self.drafts))

    @property
    def draft_temperatures_label(self) -> str:
        """Draft temperatures as one string: `1.0`, or `1.2|2.0` for several drafts that differ."""
        values = self.draft_temperatures
        shown = values[:1] if len(set(values)) == 1 and len(set(self.drafts)) > 1 else values
        return "|".join(str(value) for value in shown)

    @property
    def shared_draft_temperature(self) -> float | None:
        """The temperature of all drafts; None where they differ in it."""
        distinct = set(self.draft_temperatures)
        return min(distinct) if len(distinct) == 1 else None

    def columns(self) -> dict[str, Any]:
        """What rows of results show of the setting: their columns that name it, but n."""
        return {
            "scheme": self.scheme,
            "sampling": self.sampling,
            "draft": self.draft_label,
            "temperature": self.warpers.temperature,
            "draft_temperatures": self.draft_temperatures_label,
            "top_k": self.warpers.top_k,
            "top_p": self.warpers.top_p,
            "min_p": self.warpers.min_p,
            "vocabulary_size": self.vocabulary_size,
            "vocabulary_of": self.vocabulary_of,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the setting as JSON-ready values, for provenance and resuming."""
        values = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        return values | {
            "warpers": self.warpers.as_dict(),
            "scheme_options": dict(self.scheme_options),
        }

    @classmethod
    def from_dict(cls, recorded: Mapping[str, Any]) -> SolveSetting:
        """The setting of a record that `as_dict` made.

        Example:
            >>> setting = SolveSetting("greedy", ("small",), bounds.Warpers(), (1.0,))
            >>> SolveSetting.from_dict(setting.as_dict()) == setting
            True
        """
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in recorded.items()
        }
        values["warpers"] = bounds.Warpers.from_dict(recorded["warpers"])
        values["scheme_options"] = tuple(recorded["scheme_options"].items())
        return cls(**values)


def laws_of_several_distributions() -> tuple[str, ...]:
    """Draft laws that draw each draft from a distribution of its own.

    Example:
        >>> laws_of_several_distributions()
        ('independent',)
    """
    return tuple(
        law for law in bounds.SAMPLING_LAWS if bounds.draft_law(law).num_distributions is None
    )
