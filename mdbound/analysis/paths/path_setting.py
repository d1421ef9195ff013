"""What tokens per call are computed for: rules, draft lengths, drafts and their temperatures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from mdbound import paths, schemes
from mdbound.analysis.offsets.chosen_offsets import ChosenOffsets
from mdbound.analysis.paths.tree_rules import (
    GBV,
    OPTIMAL,
    QUANTILE,
    GbvRule,
    NodeRule,
    QuantileRule,
    TreeRule,
)
from mdbound.bounds import SAMPLING_LAWS, Warpers
from mdbound.errors import InvalidSettingError, refuse_unknown

#: Drafted tokens before a call: more than these is a typing error, and tables have a column each.
LONGEST_DRAFT = 64

#: Rules of a table when none is asked for: `asps` is `block` under another name.
DEFAULT_SCHEMES = ("match", "single_draft", "block", "joint")

#: How `tail_positions` takes the last token of each window: as the text has it, or summed over the
#: vocabulary, which has less variance.
SAMPLED, EXACT = "sampled", "exact"


#: Rules that select one of several paths, by name.
_OF_PATHS: Mapping[str, Callable[[int], TreeRule]] = {GBV: GbvRule, QUANTILE: QuantileRule}


@dataclass(frozen=True)
class PathSetting:
    """The two laws of one row of results.

    Attributes:
        draft: Draft model.
        warpers: Of the target.
        draft_temperature: Of the draft; its other warpers are the target's.
        sampled: What the text was sampled with, where that is something else: its windows are
            weighted then, and it has no calls.
    """

    draft: str
    warpers: Warpers
    draft_temperature: float
    sampled: Warpers | None = None

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
        temperatures: Of the target; empty takes the one that the text was sampled with.
        top_k: Likewise, and of the draft too; None is no cut.
        top_p: Likewise.
        min_p: Likewise.
        offsets: Of the rule `quantile`; None for its defaults. Documents that they were chosen on
            are left out.
        last_level: `SAMPLED` or `EXACT`: how `tail_positions` takes the last token of each window.
            Calls have no such choice.
    """

    lengths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    schemes: tuple[str, ...] = DEFAULT_SCHEMES
    num_drafts: tuple[int, ...] = (2,)
    sampling: tuple[str, ...] = ("with_replacement",)
    drafts: tuple[str, ...] = ()
    draft_temperatures: tuple[float | None, ...] = (None,)
    temperatures: tuple[float, ...] = ()
    top_k: tuple[int | None, ...] = ()
    top_p: tuple[float | None, ...] = ()
    min_p: tuple[float | None, ...] = ()
    last_level: str = SAMPLED
    offsets: ChosenOffsets | None = None

    def __post_init__(self) -> None:
        check_lengths(self.lengths)
        if not self.schemes:
            check_schemes(self.schemes)
        refuse_unknown(self.schemes, (*paths.names(), GBV, QUANTILE, *schemes.names()), "`schemes`")
        refuse_unknown(self.sampling, SAMPLING_LAWS, "`sampling`")
        self.tree_rules()
        for each in self.draft_temperatures:
            if each is not None and not (math.isfinite(each) and each >= 0.0):
                raise InvalidSettingError(
                    f"`draft_temperatures` {each}: give finite numbers >= 0, or target"
                )
        if self.offsets is not None and QUANTILE not in self.schemes:
            raise InvalidSettingError(
                f"`offsets` are of {QUANTILE}, which is not among `schemes`: add it"
            )
        refuse_unknown([self.last_level], (SAMPLED, EXACT), "`last_level`")
        if self.last_level == EXACT and not self.exact_rules:
            raise InvalidSettingError(
                f"`last_level` exact: none of `schemes` {', '.join(self.schemes)} has one; add one "
                f"of {', '.join(paths.LAST_LEVELS)}, or take sampled"
            )

    @property
    def path_rules(self) -> tuple[str, ...]:
        """The rules of one path among the schemes."""
        return tuple(name for name in self.schemes if name in paths.names())

    @property
    def exact_rules(self) -> tuple[str, ...]:
        """Those among them whose last level is exact.

        Example:
            >>> PathGrid(last_level="exact").exact_rules
            ('single_draft', 'block', 'joint')
        """
        if self.last_level == SAMPLED:
            return ()
        return tuple(name for name in self.path_rules if name in paths.LAST_LEVELS)

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
            if name in _OF_PATHS:
                made = (_OF_PATHS[name](n) for n in self.num_drafts if n >= 1)
                found += [self._with_offsets(rule) for rule in made]
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

    def _with_offsets(self, rule: TreeRule) -> TreeRule:
        if not isinstance(rule, QuantileRule) or self.offsets is None:
            return rule
        for length in self.lengths:
            self.offsets.of(rule.num_drafts, length)
        return replace(rule, offsets=self.offsets)

    def settings(self, available: Sequence[str], text: Warpers | None) -> tuple[PathSetting, ...]:
        """Expand the grid for a cache.

        Args:
            available: Draft models of the cache.
            text: What its answers were sampled with; None for a text that was given.

        Raises:
            InvalidSettingError: No such draft, no draft, or a target that the text cannot stand
                for.

        Example:
            >>> grid = PathGrid(draft_temperatures=(None, 0.7))
            >>> [one.draft_temperature for one in grid.settings(["small"], Warpers())]
            [1.0, 0.7]
            >>> PathGrid(temperatures=(0.7,)).settings(["small"], Warpers(top_k=50))[0].sampled
            Warpers(temperature=1.0, top_k=50, top_p=None, min_p=None)
        """
        if not available:
            raise InvalidSettingError("the cache holds no draft model; add one with `add_drafts`")
        refuse_unknown(self.drafts, available, "`drafts`")
        return tuple(
            PathSetting(
                draft, warpers, warpers.temperature if value is None else value,
                None if text in (None, warpers) else text,
            )
            for draft in tuple(dict.fromkeys(self.drafts)) or tuple(available)
            for warpers in dict.fromkeys(self._targets(text))
            for value in dict.fromkeys(self.draft_temperatures)
        )  # fmt: skip

    def _targets(self, text: Warpers | None) -> Iterator[Warpers]:
        """Every target asked for, each checked against the law of the text."""
        own = text or Warpers()
        for values in product(
            self.temperatures or (own.temperature,),
            self.top_k or (own.top_k,),
            self.top_p or (own.top_p,),
            self.min_p or (own.min_p,),
        ):
            wanted = Warpers(*values)
            if text is not None and wanted != text:
                paths.check_reweighting(text, wanted)
                self._refuse_trees(text)
            yield wanted

    def _refuse_trees(self, text: Warpers) -> None:
        trees = [name for name in self.schemes if name not in paths.names()]
        if trees:
            raise InvalidSettingError(
                f"`schemes` {', '.join(trees)}: the text was sampled with {_words(text)}, and only "
                f"rules of one path have tails at another setting ({', '.join(paths.names())}); "
                "take these, or capture again"
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
