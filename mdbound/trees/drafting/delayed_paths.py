"""One path first, and several below its end: delayed expansion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mdbound.trees.drafting.paths_law import PathState, check_numbers
from mdbound.trees.drafting.tree_law import NodewiseLaw


@dataclass(frozen=True)
class DelayedPaths(NodewiseLaw[PathState]):
    """A path of L1 tokens, and K independent paths of L2 tokens that go on from its end.

    Attributes:
        num_paths: K.
        trunk: L1.
        length: L2.

    Raises:
        InvalidSettingError: a number below 1.

    Source: delayed tree expansion (2602.16994).

    Example:
        >>> DelayedPaths(2, 3, 4).depth
        7
    """

    num_paths: int
    trunk: int
    length: int

    def __post_init__(self) -> None:
        check_numbers(num_paths=self.num_paths, trunk=self.trunk, length=self.length)

    @property
    def sampling(self) -> str:
        """See `TreeLaw.sampling`."""
        return "with_replacement"

    @property
    def depth(self) -> int:
        """See `TreeLaw.depth`."""
        return self.trunk + self.length

    def title(self) -> str:
        """See `TreeLaw.title`."""
        return f"{self.num_paths} paths of {self.length} tokens after one of {self.trunk}"

    def root(self) -> PathState:
        """See `NodewiseLaw.root`."""
        return 0, (0,)

    def num_draws(self, state: PathState) -> int:
        """See `NodewiseLaw.num_draws`."""
        depth, paths = state
        return len(paths) if depth < self.depth else 0

    def child(self, state: PathState, drafted: Sequence[int], token: int) -> PathState:
        """See `NodewiseLaw.child`."""
        depth, paths = state
        if depth + 1 == self.trunk:
            return depth + 1, tuple(range(self.num_paths))
        through = (path for path, drawn in zip(paths, drafted, strict=True) if drawn == token)
        return depth + 1, tuple(through)

    def most_trees(self, vocab_size: int) -> float:
        """See `TreeLaw.most_trees`."""
        return float(vocab_size) ** (self.trunk + self.num_paths * self.length)
