"""Grids of settings: every combination of the values given, refused where none could be meant."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mdbound.analysis.solving.num_drafts import MAX_DRAFTS, NUM_DRAFTS_REMEDY
from mdbound.analysis.solving.scheme_settings import add_schemes
from mdbound.analysis.solving.setting import SolveSetting, laws_of_several_distributions
from mdbound.bounds import SAMPLING_LAWS, Warpers
from mdbound.errors import InvalidSettingError, refuse_unknown

Item = TypeVar("Item")

#: Whose most likely tokens make a restricted vocabulary.
VOCABULARY_OWNERS = ("target", "draft")

#: Names and temperatures of the drafts of one setting.
DraftGroup = tuple[tuple[str, ...], tuple[float, ...]]


@dataclass(frozen=True)
class SolveGrid:
    """Every combination of the values given, as `mdbound solve` takes them.

    Attributes:
        sampling: Draft laws.
        temperatures: Target temperatures.
        draft_temperatures: Draft temperatures; None is the target's, and so is an empty tuple.
        draft_temperature_sets: For laws of several distributions, one setting for each of these
            sets of temperatures; empty makes one set of `draft_temperatures`.
        top_k: Values of top-k, None for no cut.
        top_p: Values of top-p, None for no cut.
        min_p: Values of min-p, None for no cut.
        num_drafts: The n to report.
        drafts: Draft model names; empty means every draft of the cache, in its order.
        vocabulary_sizes: Tokens that target and drafts are restricted to, None for all of them.
        vocabulary_of: Whose most likely tokens those are: `"target"` or `"draft"`.
        schemes: Verification schemes to rate beside the bound, or `"all"`. A scheme is rated
            wherever its draft law is among `sampling` and it is defined for the n.
        scheme_samples: Random draws per position where a rate has no exact algorithm; None takes
            each scheme's own number.
        scheme_seed: Seed of those draws.
    """

    sampling: tuple[str, ...] = ("with_replacement", "without_replacement")
    temperatures: tuple[float, ...] = (1.0,)
    draft_temperatures: tuple[float | None, ...] = ()
    top_k: tuple[int | None, ...] = (None,)
    top_p: tuple[float | None, ...] = (None,)
    min_p: tuple[float | None, ...] = (None,)
    num_drafts: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    drafts: tuple[str, ...] = ()
    draft_temperature_sets: tuple[tuple[float, ...], ...] = ()
    vocabulary_sizes: tuple[int | None, ...] = (None,)
    vocabulary_of: str = "target"
    schemes: tuple[str, ...] = ()
    scheme_samples: int | None = None
    scheme_seed: int = 0

    def settings(self, available_drafts: Sequence[str]) -> tuple[SolveSetting, ...]:
        """Expand the grid for a cache with the given draft models.

        Each draft model and draft temperature is a setting of its own, except under a law of
        several distributions (`"independent"`): there the draft models (or, with one model, the
        draft temperatures) are the drafts of one setting.

        Args:
            available_drafts: Draft names of the cache, in manifest order.

        Returns:
            The distinct settings, in a fixed order: each bound, then the schemes on it.

        Raises:
            InvalidSettingError: A value is out of range, a name is unknown, a law of several
                distributions has only one, or a scheme asked for by name fits none of the draft
                laws and n.

        Example:
            >>> grid = SolveGrid(sampling=("independent",), draft_temperatures=(1.2, 2.0))
            >>> [setting.draft_temperatures for setting in grid.settings(["small"])]
            [(1.2, 2.0)]
        """
        _check_values(self)
        drafts = self._known_drafts(available_drafts)
        expanded: list[SolveSetting] = []
        for law, warpers, size in itertools.product(
            self.sampling, self._warpers(), self.vocabulary_sizes
        ):
            owner = None if size is None else self.vocabulary_of
            for names, temperatures in self._draft_groups(law, drafts, warpers.temperature):
                num_drafts = self._num_drafts_for(law, len(names))
                expanded.append(
                    SolveSetting(law, names, warpers, temperatures, num_drafts, size, owner)
                )
        distinct = tuple(dict.fromkeys(expanded))
        if not self.schemes:
            return distinct
        return add_schemes(distinct, self.schemes, self.scheme_samples, self.scheme_seed)

    def _warpers(self) -> list[Warpers]:
        """Of the target, every combination."""
        values = itertools.product(self.temperatures, self.top_k, self.top_p, self.min_p)
        return [Warpers(*each) for each in values]

    def _known_drafts(self, available: Sequence[str]) -> tuple[str, ...]:
        if not available:
            raise InvalidSettingError("the cache holds no draft model; add one with `add_drafts`")
        refuse_unknown(self.drafts, available, "`drafts`")
        return tuple(dict.fromkeys(self.drafts)) or tuple(available)

    def _draft_groups(
        self, law: str, drafts: tuple[str, ...], temperature: float
    ) -> list[DraftGroup]:
        """Models and temperatures of each setting's drafts."""
        temperatures = tuple(
            temperature if each is None else each for each in self.draft_temperatures or (None,)
        )
        if law not in laws_of_several_distributions():
            return [((name,), (value,)) for name in drafts for value in temperatures]
        if self.draft_temperature_sets:
            return [_draft_set(drafts, values) for values in self.draft_temperature_sets]
        if len(drafts) > 1:
            return [(drafts, (value,) * len(drafts)) for value in temperatures]
        if len(temperatures) > 1:
            return [(drafts * len(temperatures), temperatures)]
        raise InvalidSettingError(
            f"`sampling` {law}: only one draft distribution ({drafts[0]} at temperature "
            f"{temperatures[0]}); capture a second draft model, or give several temperatures, as "
            "in `draft_temperatures` 1.2,2.0"
        )

    def _num_drafts_for(self, law: str, distributions: int) -> tuple[int, ...]:
        limit = distributions if law in laws_of_several_distributions() else MAX_DRAFTS
        num_drafts = tuple(n for n in self.num_drafts if n <= limit)
        if not num_drafts:
            raise InvalidSettingError(
                f"`num_drafts` {_listed(self.num_drafts)}: the {law} law has {limit} draft "
                f"distributions here, so n is at most {limit}; give more draft models or more "
                "values of `draft_temperatures`"
            )
        return num_drafts


def _draft_set(drafts: tuple[str, ...], temperatures: tuple[float, ...]) -> DraftGroup:
    """One draft per temperature: of the only model, or of as many models as temperatures."""
    if len(drafts) == 1:
        return drafts * len(temperatures), temperatures
    if len(drafts) != len(temperatures):
        raise InvalidSettingError(
            f"`draft_temperature_sets` has {_listed(temperatures)} for the drafts "
            f"{_listed(drafts)}: give one temperature per draft, or name one draft"
        )
    return drafts, temperatures


def _check_values(grid: SolveGrid) -> None:
    _refuse_empty(grid.sampling, "sampling", f"choose from {', '.join(SAMPLING_LAWS)}")
    refuse_unknown(grid.sampling, SAMPLING_LAWS, "`sampling`")
    refuse_unknown([grid.vocabulary_of], VOCABULARY_OWNERS, "`vocabulary_of`")
    _require(grid.temperatures, "temperatures", _is_temperature, _TEMPERATURE_REMEDY)
    own = tuple(each for each in grid.draft_temperatures if each is not None)
    _require(own or (0.0,), "draft_temperatures", _is_temperature, _TEMPERATURE_REMEDY)
    for values in grid.draft_temperature_sets:
        _require(values, "draft_temperature_sets", _is_temperature, _TEMPERATURE_REMEDY)
    _require(grid.top_k, "top_k", _is_count, "give integers >= 1, or none")
    _require(grid.top_p, "top_p", _is_mass, "give masses in (0, 1], or none")
    _require(grid.min_p, "min_p", _is_share, "give shares in [0, 1], or none")
    remedy = "give integers >= 1, or none for the whole vocabulary"
    _require(grid.vocabulary_sizes, "vocabulary_sizes", _is_count, remedy)
    _require(grid.num_drafts, "num_drafts", lambda n: 1 <= n <= MAX_DRAFTS, NUM_DRAFTS_REMEDY)


_TEMPERATURE_REMEDY = "give finite numbers >= 0 (0 is the argmax)"


def _is_temperature(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0


def _is_count(value: int | None) -> bool:
    return value is None or value >= 1


def _is_mass(value: float | None) -> bool:
    return value is None or 0.0 < value <= 1.0


def _is_share(value: float | None) -> bool:
    return value is None or 0.0 <= value <= 1.0


def _require(
    values: Sequence[Item], field: str, is_valid: Callable[[Item], bool], remedy: str
) -> None:
    _refuse_empty(values, field, remedy)
    for value in values:
        if not is_valid(value):
            raise InvalidSettingError(f"`{field}` {value}: out of range; {remedy}")


def _refuse_empty(values: Sequence[object], field: str, remedy: str) -> None:
    if not values:
        raise InvalidSettingError(f"`{field}` is empty; {remedy}")


def _listed(values: Iterable[object]) -> str:
    return ",".join(str(value) for value in values)
