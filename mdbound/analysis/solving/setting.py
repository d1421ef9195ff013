"""What to solve for: one setting of laws, models and sampling parameters, and grids of them."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from mdbound.analysis.solving.results import BOUND
from mdbound.errors import InvalidSettingError

Item = TypeVar("Item")

#: More drafts than this per position is a typing error rather than a study.
MAX_DRAFTS = 1024

#: Whose most likely tokens make a restricted vocabulary.
VOCABULARY_OWNERS = ("target", "draft")


@dataclass(frozen=True)
class SolveSetting:
    """One way to draft and to sample; all values of `num_drafts` share one pass over the logits.

    Attributes:
        sampling: A draft law, one of `mdbound.bounds.SAMPLING_LAWS`.
        drafts: Draft model names. For `"independent"` one per draft distribution, else one.
        temperature: Target temperature; 0 is the argmax.
        draft_temperatures: Same length as `drafts`.
        top_k: Tokens kept of target and draft alike, or None for all.
        top_p: Nucleus mass kept of target and draft alike, or None for all.
        num_drafts: The n to report, increasing. For `"independent"`, n uses the first n drafts.
        vocabulary_size: Tokens that target and drafts are restricted to and renormalised on, the
            same ones for all, or None for the whole vocabulary. (Top-k keeps each distribution's
            own most likely tokens.)
        vocabulary_of: Whose most likely tokens they are: `"target"`, or `"draft"` (the first).
        scheme: `"bound"`, or the verification scheme whose rate is wanted.
        scheme_options: Constructor options of the scheme, as (name, value) pairs.

    Example:
        >>> SolveSetting("with_replacement", ("small",), 0.7, (1.2,)).draft_label
        'small'
    """

    sampling: str
    drafts: tuple[str, ...]
    temperature: float
    draft_temperatures: tuple[float, ...]
    top_k: int | None = None
    top_p: float | None = None
    num_drafts: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    vocabulary_size: int | None = None
    vocabulary_of: str | None = None
    scheme: str = BOUND
    scheme_options: tuple[tuple[str, int], ...] = ()

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

    def as_dict(self) -> dict[str, Any]:
        """Return the setting as JSON-ready values, for provenance and resuming."""
        values = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        return values | {"scheme_options": dict(self.scheme_options)}


@dataclass(frozen=True)
class SolveGrid:
    """Every combination of the values given, as `mdbound solve` takes them.

    Attributes:
        sampling: Draft laws.
        temperatures: Target temperatures.
        draft_temperatures: Draft temperatures; None is the target's, and so is an empty tuple.
        draft_temperature_sets: For the `"independent"` law, one setting for each of these sets of
            temperatures; empty makes one set of `draft_temperatures`.
        top_k: Values of top-k, None for no cut.
        top_p: Values of top-p, None for no cut.
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

        Each draft model and draft temperature is a setting of its own, except under the
        `"independent"` law: there the draft models (or, with one model, the draft
        temperatures) are the drafts of one setting.

        Args:
            available_drafts: Draft names of the cache, in manifest order.

        Returns:
            The distinct settings, in a fixed order: each bound, then the schemes on it.

        Raises:
            InvalidSettingError: A value is out of range, a name is unknown, the
                `"independent"` law has only one draft distribution, or a scheme asked for by
                name fits none of the draft laws and n.

        Example:
            >>> grid = SolveGrid(sampling=("independent",), draft_temperatures=(1.2, 2.0))
            >>> [setting.draft_temperatures for setting in grid.settings(["small"])]
            [(1.2, 2.0)]
        """
        from mdbound.analysis.solving.scheme_settings import add_schemes

        self._check_values()
        drafts = self._known_drafts(available_drafts)
        expanded: list[SolveSetting] = []
        for law, temperature, top_k, top_p, size in itertools.product(
            self.sampling, self.temperatures, self.top_k, self.top_p, self.vocabulary_sizes
        ):
            owner = None if size is None else self.vocabulary_of
            for names, temperatures in self._draft_groups(law, drafts, temperature):
                num_drafts = self._num_drafts_for(law, len(names))
                expanded.append(
                    SolveSetting(
                        *(law, names, temperature, temperatures, top_k, top_p, num_drafts),
                        vocabulary_size=size,
                        vocabulary_of=owner,
                    )
                )
        distinct = tuple(dict.fromkeys(expanded))
        if not self.schemes:
            return distinct
        return add_schemes(distinct, self.schemes, self.scheme_samples, self.scheme_seed)

    def _draft_groups(
        self, law: str, drafts: tuple[str, ...], temperature: float
    ) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
        """Models and temperatures of each setting's drafts."""
        if law == "independent" and self.draft_temperature_sets:
            return [_draft_set(drafts, values) for values in self.draft_temperature_sets]
        temperatures = (
            temperature if each is None else each for each in self.draft_temperatures or (None,)
        )
        return _draft_groups(law, drafts, tuple(temperatures))

    def _num_drafts_for(self, law: str, distributions: int) -> tuple[int, ...]:
        limit = distributions if law == "independent" else MAX_DRAFTS
        num_drafts = tuple(n for n in self.num_drafts if n <= limit)
        if not num_drafts:
            raise InvalidSettingError(
                f"--num-drafts {_listed(self.num_drafts)}: the independent law has "
                f"{limit} draft distributions here, so n is at most {limit}; "
                "give more draft models or more --draft-temperature values"
            )
        return num_drafts

    def _check_values(self) -> None:
        from mdbound.bounds import SAMPLING_LAWS

        _require(self.sampling, "--sampling", SAMPLING_LAWS.__contains__, _one_of(SAMPLING_LAWS))
        _require(self.temperatures, "--temperature", _is_temperature, _TEMPERATURE_REMEDY)
        of_drafts = tuple(each for each in self.draft_temperatures if each is not None)
        for values in (of_drafts or (0.0,), *self.draft_temperature_sets):
            _require(values, "--draft-temperature", _is_temperature, _TEMPERATURE_REMEDY)
        _require(
            self.top_k, "--top-k", lambda k: k is None or k >= 1, "give integers >= 1, or 'none'"
        )
        _require(
            self.top_p,
            "--top-p",
            lambda mass: mass is None or 0.0 < mass <= 1.0,
            "give masses in (0, 1], or 'none'",
        )
        _require(
            self.vocabulary_sizes,
            "--vocabulary-size",
            lambda size: size is None or size >= 1,
            "give integers >= 1, or 'none' for the whole vocabulary",
        )
        _require(
            (self.vocabulary_of,),
            "--vocabulary-of",
            VOCABULARY_OWNERS.__contains__,
            _one_of(VOCABULARY_OWNERS),
        )
        _require(
            self.num_drafts,
            "--num-drafts",
            lambda n: 1 <= n <= MAX_DRAFTS,
            f"give integers from 1 to {MAX_DRAFTS}, as in 1-8 or 1,2,4",
        )

    def _known_drafts(self, available: Sequence[str]) -> tuple[str, ...]:
        if not available:
            raise InvalidSettingError(
                "the cache holds no draft model; add one with "
                "`mdbound capture --into CACHE --draft MODEL`"
            )
        for name in self.drafts:
            if name not in available:
                near = difflib.get_close_matches(name, available, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise InvalidSettingError(
                    f"--draft {name}: no such draft in the cache{hint}; it holds "
                    f"{', '.join(available)}"
                )
        return tuple(dict.fromkeys(self.drafts)) or tuple(available)


def parse_num_drafts(text: str) -> tuple[int, ...]:
    """Read the n to solve for, as ranges and lists.

    Args:
        text: Such as `"1-8"`, `"1,2,4"` or `"1-4,8"`.

    Returns:
        Distinct values, increasing.

    Raises:
        InvalidSettingError: Not integers, a range that runs backwards, or n outside 1 to 1024.

    Example:
        >>> parse_num_drafts("1-3,8")
        (1, 2, 3, 8)
    """
    remedy = f"give integers from 1 to {MAX_DRAFTS}, as in 1-8 or 1,2,4"
    found: set[int] = set()
    for piece in _pieces([text]):
        low_text, dash, high_text = piece.partition("-")
        try:
            low, high = int(low_text), int(high_text if dash else low_text)
        except ValueError:
            raise InvalidSettingError(f"--num-drafts {piece}: not a number; {remedy}") from None
        if not 1 <= low <= high <= MAX_DRAFTS:
            raise InvalidSettingError(f"--num-drafts {piece}: out of range; {remedy}")
        found.update(range(low, high + 1))
    if not found:
        raise InvalidSettingError(f"--num-drafts is empty; {remedy}")
    return tuple(sorted(found))


def parse_floats(texts: Iterable[str], option: str) -> tuple[float, ...]:
    """Read a repeatable option of comma-separated numbers, in the order given.

    Raises:
        InvalidSettingError: A piece is not a number.

    Example:
        >>> parse_floats(["0.7,1.0", "2"], "--temperature")
        (0.7, 1.0, 2.0)
    """
    return tuple(_number(piece, option, float, "") for piece in _pieces(texts))


def parse_optional(
    texts: Iterable[str], option: str, kind: Callable[[str], Item], word: str = "none"
) -> tuple[Item | None, ...]:
    """Read a repeatable option of comma-separated numbers, where a word stands for None.

    Args:
        texts: The values as typed, each possibly a comma-separated list.
        option: The option's name, for the error message.
        kind: `int` or `float`.
        word: The word, such as `none` for no cut.

    Returns:
        The values in the order given.

    Raises:
        InvalidSettingError: A piece is neither a number nor the word.

    Example:
        >>> parse_optional(["10,none", "50"], "--top-k", int)
        (10, None, 50)
    """
    return tuple(
        None if piece.lower() == word else _number(piece, option, kind, f", or {word!r}")
        for piece in _pieces(texts)
    )


def parse_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Read a repeatable option of comma-separated names.

    Example:
        >>> parse_names(["greedy,independent"])
        ('greedy', 'independent')
    """
    return tuple(_pieces(texts))


def _pieces(texts: Iterable[str]) -> list[str]:
    return [piece.strip() for text in texts for piece in text.split(",") if piece.strip()]


def _draft_groups(
    law: str, drafts: tuple[str, ...], temperatures: tuple[float, ...]
) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
    """Split draft models and temperatures into the drafts of single settings."""
    if law != "independent":
        return [((name,), (value,)) for name in drafts for value in temperatures]
    if len(drafts) > 1:
        return [(drafts, (value,) * len(drafts)) for value in temperatures]
    if len(temperatures) == 1:
        raise InvalidSettingError(
            f"--sampling independent: only one draft distribution ({drafts[0]} at temperature "
            f"{temperatures[0]}); capture a second draft model, or give several "
            "--draft-temperature values, as in --draft-temperature 1.2,2.0"
        )
    return [(drafts * len(temperatures), temperatures)]


def _draft_set(
    drafts: tuple[str, ...], temperatures: tuple[float, ...]
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """One draft per temperature: of the only model, or of as many models as temperatures."""
    if len(drafts) == 1:
        return drafts * len(temperatures), temperatures
    if len(drafts) != len(temperatures):
        raise InvalidSettingError(
            f"draft temperatures {_listed(temperatures)} for the drafts {_listed(drafts)}: give "
            "one temperature per draft, or name one draft"
        )
    return drafts, temperatures


def _number(piece: str, option: str, kind: Callable[[str], Item], alternative: str) -> Item:
    try:
        return kind(piece)
    except ValueError:
        raise InvalidSettingError(
            f"{option} {piece}: not a number of the right kind; give numbers separated by "
            f"commas{alternative}"
        ) from None


_TEMPERATURE_REMEDY = "give finite numbers >= 0 (0 is the argmax)"


def _is_temperature(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0


def _one_of(names: Iterable[str]) -> str:
    return f"choose from {', '.join(names)}"


def _listed(values: Iterable[object]) -> str:
    return ",".join(str(value) for value in values)


def _require(
    values: Sequence[Item], option: str, is_valid: Callable[[Item], bool], remedy: str
) -> None:
    if not values:
        raise InvalidSettingError(f"{option} is empty; {remedy}")
    for value in values:
        if not is_valid(value):
            raise InvalidSettingError(f"{option} {value}: out of range; {remedy}")
