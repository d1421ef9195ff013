"""Greedy multi-path block verification: the path that ranks highest by p/q, token by token."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from mdbound.paths.tiny.model import Number, Prefix
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.verifiers.rows import Array, Rows
from mdbound.trees.verifiers.selected_path import SelectingVerifier


class Gbv(SelectingVerifier):
    """Select the lexicographically largest of K paths, tokens ranked by p/q; then verify it.

    Of equal ratios the lower token id ranks higher, in the selection and in its law: any order that
    is fixed beforehand is lossless, one that draws decide is not. With G(x) the draft mass of
    strings up to x, the selected path starts with x with probability G(x)^K - (G(x) - q(x))^K.

    Source: 2602.16961 as in public code, but for the ties.
    """

    name: ClassVar[str] = "gbv"
    title: ClassVar[str] = "greedy multi-path block verification"

    def winners(self, target: Rows, draft: Rows, tree: DraftedTree) -> dict[Prefix, Number]:
        """See `SelectingVerifier.winners`: one path, for sure."""
        path: Prefix = ()
        while path in tree.drafted:
            place = _places(target[path], draft[path])
            path = (*path, max(tree.drafted[path], key=place.__getitem__))
        return {path: 1}

    def draw_winner(
        self, target: Rows, draft: Rows, tree: DraftedTree, rng: np.random.Generator
    ) -> Prefix:
        """See `SelectingVerifier.draw_winner`."""
        del rng  # nothing is left to chance
        return next(iter(self.winners(target, draft, tree)))

    def selected_rows(self, target: Rows, draft: Rows, path: Prefix, num_paths: int) -> list[Array]:
        """See `SelectingVerifier.selected_rows`."""
        rows: list[Array] = []
        lower: Any = 0
        width: Any = 1
        for length, token in enumerate(path):
            p, q = target[path[:length]], draft[path[:length]]
            order = _ascending(p, q)
            upto = np.empty_like(q)
            upto[order] = np.cumsum(q[order])
            below = lower + width * (upto - q)
            masses = _mass_of_largest(below, width * q, num_paths)
            rows.append(masses / masses.sum())
            lower, width = below[token], width * q[token]
        return rows


def _mass_of_largest(below: Array, width: Array, num_paths: int) -> Array:
    """(below + width)^K - below^K as width times a sum of products: nothing cancels."""
    upper, total = below + width, below * 0
    for power in range(num_paths):
        total = total + upper**power * below ** (num_paths - 1 - power)
    return np.asarray(width * total)


def _ascending(p: Array, q: Array) -> Array:
    """Tokens by rising p/q, the higher id first among equals; those never drafted come first."""
    drafted = np.flatnonzero(q > 0)[::-1]
    never = np.flatnonzero(~(q > 0))
    ratio = p[drafted] / q[drafted]
    return np.concatenate([never, drafted[np.argsort(ratio, kind="stable")]])


def _places(p: Array, q: Array) -> Array:
    """The place of each token in `_ascending`."""
    order = _ascending(p, q)
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places
