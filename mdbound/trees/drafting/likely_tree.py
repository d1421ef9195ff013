"""Trees that the draft's probabilities fix: the most likely nodes (EAGLE-2, OPT-Tree)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Number, Prefix, row_of
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.drafting.node_draws import most_likely
from mdbound.trees.drafting.paths_law import check_numbers
from mdbound.trees.drafting.tree_law import Drafts, Growth, TreeLaw


@dataclass(frozen=True)
class LikelyTree(TreeLaw):
    """The `total` nodes of largest joint draft probability among those that were looked at.

    Level by level, the `width` most likely nodes of the level are looked at, and the `width` most
    likely tokens after each are candidates; of all candidates the `total` most likely are kept.
    Nothing is left to chance, so that the sum of p over its nodes is the optimum, and NSS reaches
    it.

    EAGLE-2 and EAGLE-3 are `LikelyTree(60, 5, 10)` with the defaults of their code; a width of
    `total` or more makes it OPT-Tree, the tree of so many nodes with the largest sum of joint
    draft probabilities.

    Attributes:
        total: nodes kept, at most.
        length: L, levels.
        width: nodes looked at in a level, and candidates after each.

    Raises:
        InvalidSettingError: a number below 1.

    Source: Li et al. 2024 (EAGLE-2), Wang et al. 2024 (OPT-Tree), as in their code.

    Example:
        >>> row = (0.5, 0.3, 0.2)
        >>> [(tree, _)] = LikelyTree(3, 2, 2).trees(dict.fromkeys([(), (0,), (1,)], row))
        >>> tree.drafted
        {(): (0, 1), (0,): (0,)}
    """

    total: int = 60
    length: int = 5
    width: int = 10

    def __post_init__(self) -> None:
        check_numbers(total=self.total, length=self.length, width=self.width)

    @property
    def sampling(self) -> str:
        """See `TreeLaw.sampling`."""
        return "top_k"

    @property
    def depth(self) -> int:
        """See `TreeLaw.depth`."""
        return self.length

    @property
    def first_draws(self) -> int:
        """See `TreeLaw.first_draws`: the candidates after the context, of which some are kept."""
        return self.width

    def title(self) -> str:
        """See `TreeLaw.title`."""
        return f"tree of the {self.total} likeliest nodes, depth {self.length}, width {self.width}"

    def can_draw(self, tree: DraftedTree) -> bool:
        """See `TreeLaw.can_draw`."""
        widths = Counter(len(node) for node in tree.drafted)
        lists = tree.drafted.values()
        return (
            tree.depth <= self.length
            and sum(len(tokens) for tokens in lists) <= self.total
            and all(len(tokens) == len(set(tokens)) <= self.width for tokens in lists)
            and all(count <= self.width for count in widths.values())
        )

    def most_trees(self, vocab_size: int) -> float:
        """See `TreeLaw.most_trees`."""
        del vocab_size  # there is one tree
        return 1.0

    def trees(self, draft: Drafts) -> Iterator[tuple[DraftedTree, Number]]:
        """See `TreeLaw.trees`."""
        if not isinstance(draft, Mapping):
            raise InvalidSettingError(f"`draft` is {len(draft)} models: give one")
        growth = self.grow(np.random.default_rng(0))
        nodes = next(growth)
        while True:
            try:
                nodes = growth.send([row_of(draft, node, "draft") for node in nodes])  # type: ignore[misc]
            except StopIteration as end:
                yield end.value, 1
                return

    def grow(self, rng: np.random.Generator) -> Growth:
        """See `TreeLaw.grow`."""
        del rng  # nothing is left to chance
        masses: dict[Prefix, Any] = {(): 1}
        level: list[Prefix] = [()]
        for _ in range(self.length):
            rows = yield level
            below: dict[Prefix, Any] = {
                (*node, token): masses[node] * row[token]
                for node, row in zip(level, rows, strict=True)
                for token in most_likely(row, self.width)
            }
            masses |= below
            level = _likeliest(below, self.width)
        del masses[()]
        return _tree_of(_likeliest(masses, self.total))


def _likeliest(masses: dict[Prefix, Any], count: int) -> list[Prefix]:
    """The most likely nodes; of equal ones those that are shorter, then those of lower ids."""
    return sorted(masses, key=lambda node: (-masses[node], len(node), node))[:count]


def _tree_of(nodes: Sequence[Prefix]) -> DraftedTree:
    """A tree of nodes: a parent is no less likely than its children, and comes before them."""
    drafted: dict[Prefix, tuple[int, ...]] = {}
    for node in nodes:
        drafted[node[:-1]] = (*drafted.get(node[:-1], ()), node[-1])
    return DraftedTree(drafted)
