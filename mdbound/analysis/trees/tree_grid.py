"""What is computed on captured trees: verifiers, and how much of each capture's paths is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mdbound import trees
from mdbound.analysis.offsets.chosen_offsets import ChosenOffsets
from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.trees import TreeLaw

#: Verifiers of trees of paths, in the order of tables, when none are asked for.
DEFAULT_VERIFIERS = (
    "nss",
    "rrs_with_replacement",
    "k_seq",
    "optimal_per_node",
    "block_first_path",
    "gbv",
    "quantile",
    "traversal",
)

#: Rows of the bound by depth, which is no verifier.
DEPTH_BOUND = "depth_bound"


@dataclass(frozen=True)
class PathsShape:
    """How many of the captured paths of a context are used, and how many of their tokens.

    Paths are independent and drawn token by token, so the first few, cut short, are what a capture
    of as many would have.

    Attributes:
        num_paths: K.
        length: L.

    Raises:
        InvalidSettingError: K or L below 1.
    """

    num_paths: int
    length: int

    def __post_init__(self) -> None:
        self.law()

    def law(self) -> trees.Paths:
        """The law of the trees."""
        return trees.Paths(self.num_paths, self.length)


@dataclass(frozen=True)
class TreeGrid:
    """What `mdbound trees` computes.

    Attributes:
        verifiers: Of `trees.names()`; those that suit the capture's trees when empty.
        shapes: Of captures of paths; all paths at full length when empty.
        drafts: Draft models; all of the cache that drew trees when empty.
        mixed: For each path of a tree the draft that it comes from; empty for trees of one draft.
        offsets: Of `quantile` and `quantile_recursive`; None for their defaults. Documents that
            they were chosen on are left out.
        sampled: Whether each verifier is also run once on every tree, coins and all.
        bound: Whether the bound by depth is estimated, too.
        seed: Of the runs with coins.
    """

    verifiers: tuple[str, ...] = ()
    shapes: tuple[PathsShape, ...] = ()
    drafts: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    offsets: ChosenOffsets | None = None
    sampled: bool = False
    bound: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_unknown(self.verifiers, trees.names(), "`verifiers`")
        for name in self.verifiers:
            trees.runnable_verifier(name)

    def of_law(self, law: TreeLaw, several: bool = False) -> tuple[str, ...]:
        """The verifiers that are run on trees of a law.

        Args:
            law: The law.
            several: Whether each path has a law of its own.

        Raises:
            InvalidSettingError: One was asked for that does not suit such trees, or none suits.

        Example:
            >>> TreeGrid(("gbv", "traversal")).of_law(trees.Paths(2, 3))
            ('gbv', 'traversal')
        """
        for name in self.verifiers:
            trees.verifier(name).refuse(law)
            if several and not trees.verifier(name).several:
                raise InvalidSettingError(
                    f"`verifiers` {name!r} is for paths of one law, and each of these has its own: "
                    f"take {', '.join(self._defaults(law, several))}"
                )
        if self.verifiers:
            return self.verifiers
        return self._defaults(law, several)

    @staticmethod
    def _defaults(law: TreeLaw, several: bool) -> tuple[str, ...]:
        names = (*DEFAULT_VERIFIERS, "rrs_without_replacement", "greedy", "univer")
        made = {name: trees.verifier(name) for name in names}
        return tuple(
            name for name, one in made.items() if one.suits(law) and (one.several or not several)
        )

    def as_dict(self) -> dict[str, Any]:
        """The grid as JSON-ready values, for provenance and resuming."""
        return {
            "verifiers": list(self.verifiers),
            "shapes": [[each.num_paths, each.length] for each in self.shapes],
            "mixed": list(self.mixed),
            "sampled": self.sampled,
            "bound": self.bound,
            "seed": self.seed,
            **({} if self.offsets is None else {"offsets": self.offsets.as_dict()}),
        }


def parse_shapes(texts: Sequence[str]) -> tuple[PathsShape, ...]:
    """Read `K:L` pairs, K paths of L tokens.

    Raises:
        InvalidSettingError: A piece is no such pair.

    Example:
        >>> parse_shapes(["2:3"])
        (PathsShape(num_paths=2, length=3),)
    """
    found = []
    for text in texts:
        count, colon, length = text.partition(":")
        if not (colon and count.isascii() and length.isascii()) or not (
            count.isdigit() and length.isdigit()
        ):
            raise InvalidSettingError(
                f"`shapes` {text}: give K:L, K paths of L tokens, as in 2:3,4:8"
            )
        found.append(PathsShape(int(count[:9]), int(length[:9])))
    return tuple(found)
