"""Quantile-score path selection: order K paths by their quantile, and verify the largest.

The order of greedy multi-path block verification looks at the ratio of the first token. Here a
token's score is its log-ratio plus an offset for the quantile of the rest of its path inside its
subtree, which is uniform whatever the rows are; so the law of the largest path is known from the
rows along it. Proof: `docs/quantile-selection.md`, theorem Q1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Number, Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.quantile.filter import (
    bins_below,
    inner_masses,
    root_masses,
    token_law,
)
from mdbound.trees.verifiers.quantile.items import (
    EachToken,
    Items,
    RoundedRatios,
    TokenClasses,
    items_of,
)
from mdbound.trees.verifiers.quantile.offsets import default_share, gaussian_bins
from mdbound.trees.verifiers.quantile.points import draw_points, largest_point, point_pieces
from mdbound.trees.verifiers.rows import Array, Rows
from mdbound.trees.verifiers.selected_path import SelectingVerifier


class Quantile(SelectingVerifier):
    """Select the path with the largest quantile score; block verification with its law.

    Lossless for i.i.d. paths and offsets that are fixed beforehand. Equal paths keep points of
    their own: merging them before the selection is not lossless.

    Args:
        bins: multipliers e^h of the bins of a child at each depth, the last `[1]`; fractions keep
            tiny problems in fractions. None for Gaussian offsets of the tree's length with
            `default_share` of its number of paths.
        step: tokens whose log-ratio rounds to the same multiple of it count as equal; None counts
            every token by itself, which is for small vocabularies.

    Raises:
        InvalidSettingError: bins that do not end with one bin, a multiplier that is not above 0,
            or a step out of range.

    Example:
        >>> from fractions import Fraction as F
        >>> from mdbound import trees
        >>> row = (F(1, 3), F(2, 3))
        >>> p, q = (dict.fromkeys([(), (0,), (1,)], one) for one in (row, row[::-1]))
        >>> rule = trees.verifier("quantile", bins=[[F(1, 2), 1, 2], [1]])
        >>> str(trees.expected_length(p, q, trees.Paths(3, 2), rule))
        '1289/729'
    """

    name: ClassVar[str] = "quantile"
    title: ClassVar[str] = "quantile-score selection"

    def __init__(
        self, bins: Sequence[Sequence[Number]] | None = None, step: float | None = None
    ) -> None:
        self._bins = None if bins is None else [_multipliers(each) for each in bins]
        if self._bins is not None and (not self._bins or len(self._bins[-1]) != 1):
            raise InvalidSettingError(
                "`bins` does not end with one bin: give multipliers for every depth, and [1] for "
                "the last, below which there is nothing"
            )
        self._classes: TokenClasses = EachToken() if step is None else RoundedRatios(step)

    def bins(self, length: int, num_paths: int) -> list[Array]:
        """Multipliers at each depth of paths of so many tokens.

        Raises:
            InvalidSettingError: bins were given for another length.
        """
        if self._bins is None:
            made = gaussian_bins(length, default_share(num_paths))
            return [np.array(each) for each in made]
        if len(self._bins) != length:
            raise InvalidSettingError(
                f"`bins` are for paths of {len(self._bins)} tokens, and these have {length}: give "
                "multipliers for every depth"
            )
        return self._bins

    def winners(self, target: Rows, draft: Rows, tree: DraftedTree) -> dict[Prefix, Number]:
        """See `SelectingVerifier.winners`."""
        paths = tree.paths()
        known = self._items(target, draft, paths)
        laws = [point_pieces(_along(known, path), path) for path in paths]
        found: dict[Prefix, Any] = {}
        for path, mass in zip(paths, largest_point(laws), strict=True):
            found[path] = found.get(path, 0) + mass
        return found

    def draw_winner(
        self, target: Rows, draft: Rows, tree: DraftedTree, rng: np.random.Generator
    ) -> Prefix:
        """See `SelectingVerifier.draw_winner`."""
        paths = tree.paths()
        known = self._items(target, draft, paths)
        points = [draw_points(_along(known, path), path, rng)[0] for path in paths]
        return paths[int(np.argmax(points))]

    def selected_rows(self, target: Rows, draft: Rows, path: Prefix, num_paths: int) -> list[Array]:
        """See `SelectingVerifier.selected_rows`."""
        bins = self.bins(len(path), num_paths)
        rows: list[Array] = []
        pieces: Array | None = None
        for depth, token in enumerate(path):
            node = path[:depth]
            q = draft[node]
            items = items_of(target[node], q, bins[depth], self._classes)
            masses = (
                root_masses(items, num_paths) if pieces is None else inner_masses(items, pieces)
            )
            rows.append(token_law(items, masses, q))
            pieces = bins_below(items, masses, token)
        return rows

    def _items(self, target: Rows, draft: Rows, paths: Sequence[Prefix]) -> dict[Prefix, Items]:
        bins = self.bins(len(paths[0]), len(paths))
        nodes = {path[:depth] for path in paths for depth in range(len(path))}
        return {
            node: items_of(target[node], draft[node], bins[len(node)], self._classes)
            for node in nodes
        }


def _along(known: dict[Prefix, Items], path: Prefix) -> list[Items]:
    return [known[path[:depth]] for depth in range(len(path))]


def _multipliers(bins: Sequence[Number]) -> Array:
    values = list(bins)
    if not values or not all(value > 0 for value in values):
        raise InvalidSettingError(f"`bins` holds {values}: give multipliers above 0")
    exact = all(isinstance(value, int | Fraction) for value in values)
    if exact:
        return np.array([Fraction(value) for value in values], dtype=object)
    return np.array(values, dtype=np.float64)
