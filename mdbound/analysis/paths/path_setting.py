"""What tokens per call are computed for: rules, draft lengths, drafts and their temperatures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mdbound import paths, schemes
from mdbound.analysis.paths.tree_rules import GBV, OPTIMAL, GbvRule, NodeRule, TreeRule
from mdbound.bounds import SAMPLING_LAWS, Warpers
from mdbound.errors import InvalidSettingError, refuse_unknown

#: Drafted tokens before a call: more than these is a typing error, and tables have a column each.
LONGEST_DRAFT = 64

#: Rules of a table when none is asked for: `asps` is `block` under another name.
DEFAULT_SCHEMES = ("match", "single_draft", "block", "joint")


@dataclass(frozen=True)
class PathSetting:
    """The two laws of one row of results.

    Attributes:
        draft: Draft model.
        warpers: Of the target.
        draft_temperature: Of the draft; its other warpers are the target's.
    """

    draft: str
    warpers: Warpers
    draft_temperature: float

    @property
    def draft_warpers(self) -> Warpers:
        """Warpers of the draft."""
        return self.warpers.at(self.draft_temperature)

    def columns(self) -> dict[str, Any]:
        """What rows of results show of the setting."""
        return {
            "draft": self.draft,
            **self.warpers.as_dict(),
            "draft_temperature": self.draft_temperature,
        }

    def as_dict(self) -> dict[str, Any]:
        """The setting as JSON-ready values, for provenance and resuming."""
        return {
            "draft": self.draft,
            "warpers": self.warpers.as_dict(),
            "draft_temperature": self.draft_temperature,
        }


@dataclass(frozen=True)
class PathGrid:
    """Every combination of the values given, as `mdbound paths` takes them.

    Attributes:
        lengths: Draft lengths L.
        schemes: Rules of one path (`paths.names()`); `gbv`, which verifies n i.i.d. paths; and
            schemes of one position that verify full trees node by node.
        num_drafts: Paths, or children of a node, n.
        sampling: Draft laws of the children; a scheme with a law of its own has that.
        drafts: Draft models; all of the cache when empty.
        draft_temperatures: Of the drafts; None is the target's.
        warpers: Of the target; None takes those that the text was sampled with.
    """

    lengths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    schemes: tuple[str, ...] = DEFAULT_SCHEMES
    num_drafts: tuple[int, ...] = (2,)
    sampling: tuple[str, ...] = ("with_replacement",)
    drafts: tuple[str, ...] = ()
    draft_temperatures: tuple[float | None, ...] = (None,)
    warpers: Warpers | None = None

    def __post_init__(self) -> None:
        check_lengths(self.lengths)
        if not self.schemes:
            check_schemes(self.schemes)
        refuse_unknown(self.schemes, (*paths.names(), GBV, *schemes.names()), "`schemes`")
        refuse_unknown(self.sampling, SAMPLING_LAWS, "`sampling`")
        self.tree_rules()
        for each in self.draft_temperatures:
            if each is not None and not (math.isfinite(each) and each >= 0.0):
                raise InvalidSettingError(
                    f"`draft_temperatures` {each}: give finite numbers >= 0, or target"
                )

    @property
    def path_rules(self) -> tuple[str, ...]:
        """The rules of one path among the schemes."""
        return tuple(name for name in self.schemes if name in paths.names())

    def tree_rules(self) -> tuple[TreeRule, ...]:
        """The other schemes, with every n that they are defined for.

        Raises:
            InvalidSettingError: A scheme has no acceptance token by token, or fits no n.

        Example:
            >>> grid = PathGrid(schemes=("block", "k_seq"), num_drafts=(1, 3))
            >>> [rule.columns()["num_drafts"] for rule in grid.tree_rules()]
            [1, 3]
        """
        found: list[TreeRule] = []
        for name in self.schemes:
            if name in paths.names():
                continue
            if name == GBV:
                found += [GbvRule(n) for n in self.num_drafts if n >= 1]
                continue
            scheme = schemes.get(name)
            counts = [n for n in self.num_drafts if n >= 1 and scheme.supports(n)]
            if not counts:
                raise InvalidSettingError(
                    f"`schemes` {name}: not defined for any of `num_drafts` {self.num_drafts}"
                )
            if not scheme.facts().token_acceptance:
                raise InvalidSettingError(
                    f"`schemes` {name} has no closed form of the acceptance of one token; choose "
                    f"from {', '.join(schemes.with_token_acceptance(counts[0]))}"
                )
            laws = self.sampling if name == OPTIMAL else (scheme.sampling,)
            found += [NodeRule(name, law, n) for law in laws for n in counts]
        return tuple(found)

    def settings(self, available: Sequence[str], text: Warpers | None) -> tuple[PathSetting, ...]:
        """Expand the grid for a cache.

        Args:
            available: Draft models of the cache.
            text: What its answers were sampled with; None for a text that was given.

        Raises:
            InvalidSettingError: No such draft, no draft, or warpers that the text is not of.

        Example:
            >>> grid = PathGrid(draft_temperatures=(None, 0.7))
            >>> [one.draft_temperature for one in grid.settings(["small"], Warpers())]
            [1.0, 0.7]
        """
        if not available:
            raise InvalidSettingError("the cache holds no draft model; add one with `add_drafts`")
        refuse_unknown(self.drafts, available, "`drafts`")
        warpers = self.warpers or text or Warpers()
        if text is not None and warpers != text:
            raise InvalidSettingError(
                f"the text was sampled with {_words(text)}, not {_words(warpers)}: tokens per call "
                "are of text that the target wrote at that setting; capture it again there"
            )
        return tuple(
            PathSetting(draft, warpers, warpers.temperature if value is None else value)
            for draft in tuple(dict.fromkeys(self.drafts)) or tuple(available)
            for value in dict.fromkeys(self.draft_temperatures)
        )


def check_lengths(lengths: Sequence[int]) -> None:
    """Refuse draft lengths that are none.

    Raises:
        InvalidSettingError: There is none, or one is below 1 or above `LONGEST_DRAFT`.

    Example:
        >>> check_lengths([1, 8])
    """
    if not lengths:
        raise InvalidSettingError("`lengths` is empty; give numbers of drafted tokens, as in 1-8")
    for each in lengths:
        if not 1 <= each <= LONGEST_DRAFT:
            raise InvalidSettingError(
                f"`lengths` {each}: give numbers of drafted tokens from 1 to {LONGEST_DRAFT}"
            )


def check_schemes(schemes: Sequence[str]) -> None:
    """Refuse rules that are none.

    Raises:
        InvalidSettingError: There is none, or one is unknown; the nearest is suggested.

    Example:
        >>> check_schemes(["block"])
    """
    if not schemes:
        raise InvalidSettingError(f"`schemes` is empty; choose from {', '.join(paths.names())}")
    refuse_unknown(schemes, paths.names(), "`schemes`")


def _words(warpers: Warpers) -> str:
    given = {name: value for name, value in warpers.as_dict().items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in given.items())
