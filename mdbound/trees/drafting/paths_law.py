"""K paths that are drawn independently of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Prefix, Row, row_of
from mdbound.trees.drafting.tree_law import Drafts, NodewiseLaw

PathState = tuple[int, tuple[int, ...]]
"""Depth of a node, and the numbers of the paths that pass it."""


@dataclass(frozen=True)
class Paths(NodewiseLaw[PathState]):
    """K independent paths of L tokens, drawn token by token; the tree is the union of them.

    Where a draft model is given for each path, path k is drawn from model k.

    Attributes:
        num_paths: K.
        length: L.

    Raises:
        InvalidSettingError: K or L below 1.

    Example:
        >>> Paths(4, 8).title()
        '4 paths of 8 tokens'
    """

    num_paths: int
    length: int

    def __post_init__(self) -> None:
        check_numbers(num_paths=self.num_paths, length=self.length)

    @property
    def sampling(self) -> str:
        """See `TreeLaw.sampling`."""
        return "with_replacement"

    @property
    def depth(self) -> int:
        """See `TreeLaw.depth`."""
        return self.length

    def title(self) -> str:
        """See `TreeLaw.title`."""
        return f"{self.num_paths} path{'s' * (self.num_paths > 1)} of {self.length} tokens"

    def root(self) -> PathState:
        """See `NodewiseLaw.root`."""
        return 0, tuple(range(self.num_paths))

    def num_draws(self, state: PathState) -> int:
        """See `NodewiseLaw.num_draws`."""
        depth, paths = state
        return len(paths) if depth < self.length else 0

    def child(self, state: PathState, drafted: Sequence[int], token: int) -> PathState:
        """See `NodewiseLaw.child`."""
        depth, paths = state
        through = (path for path, drawn in zip(paths, drafted, strict=True) if drawn == token)
        return depth + 1, tuple(through)

    def most_trees(self, vocab_size: int) -> float:
        """See `TreeLaw.most_trees`."""
        return float(vocab_size) ** (self.num_paths * self.length)

    def rows(self, draft: Drafts, node: Prefix, state: PathState) -> list[Row]:
        """See `NodewiseLaw.rows`.

        Raises:
            InvalidSettingError: not one model, and not one for each path; or a missing row.
            InvalidDistributionError: a row that is no distribution.
        """
        if isinstance(draft, Mapping):
            return super().rows(draft, node, state)
        if len(draft) != self.num_paths:
            raise InvalidSettingError(
                f"`draft` is {len(draft)} models for {self.num_paths} paths: give one, or one for "
                "each path"
            )
        return [row_of(draft[path], node, "draft") for path in state[1]]


def check_numbers(**fields: int) -> None:
    """Refuse what is no whole number of 1 or more.

    Raises:
        InvalidSettingError: with the field's name.

    Example:
        >>> check_numbers(length=0)
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: `length` is 0: give a whole number, 1 or more
    """
    for name, value in fields.items():
        if type(value) is not int or value < 1:
            raise InvalidSettingError(f"`{name}` is {value!r}: give a whole number, 1 or more")
