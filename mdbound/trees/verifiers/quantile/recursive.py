"""The losers of a quantile selection are drafts, too: they are verified against what is left.

Where block verification of the largest path stops, other paths may go on from there. They are
known to have lost: given the winner's point their points are i.i.d. with the law they had, cut off
there. So the largest of them can be verified in the same way, with the residual law in place of the
target's row, and so on until no path is left. Each round is lossless given the ones before. Proof:
`docs/quantile-selection.md`, theorem Q2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Model, Number, Prefix
from mdbound.schemes.sampling.draws import draw_tokens
from mdbound.trees.drafting.drafted_tree import DraftedTree
from mdbound.trees.drafting.tree_law import Drafts, TreeLaw
from mdbound.trees.verifiers.block import block_steps
from mdbound.trees.verifiers.quantile.filter import bins_below, inner_masses, token_law
from mdbound.trees.verifiers.quantile.items import Items
from mdbound.trees.verifiers.quantile.point_law import PointLaw
from mdbound.trees.verifiers.quantile.points import draw_points
from mdbound.trees.verifiers.quantile.verifier import Quantile
from mdbound.trees.verifiers.rows import Array, Rows, one_draft
from mdbound.trees.verifiers.verifier import BlockLaw, DraftRows

DRAWS = 4
"""Draws of the points that an estimate averages: more cost as many times as much, and what is left
of the noise is that of the trees."""


@dataclass(frozen=True)
class Stop:
    """Where verification may stop, given paths and points.

    Attributes:
        node: the accepted node.
        mass: probability of stopping there, coins summed over.
        weights: of the token that follows, (V,).
    """

    node: Prefix
    mass: Any
    weights: Array


@dataclass(frozen=True)
class _Round:
    """Paths that are still drafts at a node, with what is known of them.

    Attributes:
        node: the node.
        alive: numbers of the paths.
        law: of their local points.
        wanted: law of the next token: the target's row, or what earlier rounds left of it.
        mass: probability of this round.
    """

    node: Prefix
    alive: tuple[int, ...]
    law: PointLaw
    wanted: Array
    mass: Any


class QuantileRecursive(Quantile):
    """Quantile-score selection, and the losers against the residual. Never below `quantile`.

    What it accepts of given paths depends on their points, which are drawn: estimates average over
    `draws` of them, seeded by the paths, and are unbiased. For the same reason the expectation over
    all trees of a tiny problem has no closed form; its law given the points is that of `stops`.

    Args:
        bins: as `Quantile`.
        step: as `Quantile`.
        draws: draws of the points that an estimate averages.

    Raises:
        InvalidSettingError: as `Quantile`, or `draws` below 1.

    Example:
        >>> from mdbound import trees
        >>> trees.verifier("quantile_recursive", draws=2).title
        'quantile-score selection, losers too'
    """

    name: ClassVar[str] = "quantile_recursive"
    title: ClassVar[str] = "quantile-score selection, losers too"
    law_is_exact: ClassVar[bool] = False

    def __init__(
        self,
        bins: Sequence[Sequence[Number]] | None = None,
        step: float | None = None,
        draws: int = DRAWS,
    ) -> None:
        super().__init__(bins, step)
        if draws < 1:
            raise InvalidSettingError(f"`draws` is {draws}: give 1 or more")
        self._draws = draws

    def expected_length(self, target: Model, draft: Drafts, law: TreeLaw) -> Number:
        """Refused: it has no closed form.

        Raises:
            InvalidSettingError: always; says what to take.
        """
        del target, draft, law
        raise InvalidSettingError(_NO_CLOSED_FORM)

    def block_law(self, target: Model, draft: Drafts, law: TreeLaw) -> BlockLaw:
        """Refused: it has no closed form.

        Raises:
            InvalidSettingError: always; says what to take.
        """
        del target, draft, law
        raise InvalidSettingError(_NO_CLOSED_FORM)

    def outcomes(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> BlockLaw:
        """An unbiased estimate of the law of (accepted node, token), given the tree."""
        law: BlockLaw = {}
        for stop in self._estimated(target, draft, tree):
            shares = stop.weights / stop.weights.sum() * stop.mass / self._draws
            for token in np.flatnonzero(shares).tolist():
                place = (stop.node, token)
                law[place] = law.get(place, 0.0) + float(shares[token])
        return law

    def tail(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> list[Any]:
        """See `RunnableVerifier.tail`; coins are summed over, points are averaged."""
        tail = [0.0] * tree.depth
        for stop in self._estimated(target, draft, tree):
            for depth in range(len(stop.node)):
                tail[depth] += float(stop.mass) / self._draws
        return tail

    def sample(
        self, target: Rows, draft: DraftRows, tree: DraftedTree, rng: np.random.Generator
    ) -> tuple[Prefix, int]:
        """See `RunnableVerifier.sample`."""
        rows, paths = one_draft(draft, self.name), tree.paths()
        known = self._items(target, rows, paths)
        found = list(self._stops(target, rows, paths, _draw_all(known, paths, rng), known))
        chosen = int(draw_tokens(np.array([float(stop.mass) for stop in found]), rng, 1)[0])
        weights = np.asarray(found[chosen].weights, dtype=np.float64)
        return found[chosen].node, int(draw_tokens(weights, rng, 1)[0])

    def stops(
        self, target: Rows, draft: Rows, paths: Sequence[Prefix], points: Sequence[Sequence[Any]]
    ) -> list[Stop]:
        """The law of the accepted node and the next token, given paths and their points.

        Args:
            target: rows of p, also after whole paths.
            draft: rows of q.
            paths: K paths of one length.
            points: for each path its point at every prefix, the context first, (K, L); those of a
                path that is alone in its round are not looked at.
        """
        known = self._items(target, draft, paths)
        return list(self._stops(target, draft, paths, points, known))

    def _estimated(self, target: Rows, draft: DraftRows, tree: DraftedTree) -> Iterator[Stop]:
        rows, paths = one_draft(draft, self.name), tree.paths()
        known = self._items(target, rows, paths)
        seed = hashlib.sha256(repr(paths).encode()).digest()[:8]
        for draw in range(self._draws):
            rng = np.random.default_rng([draw, *seed])
            yield from self._stops(target, rows, paths, _draw_all(known, paths, rng), known)

    def _stops(
        self,
        target: Rows,
        draft: Rows,
        paths: Sequence[Prefix],
        points: Sequence[Sequence[Any]],
        known: Mapping[Prefix, Items],
    ) -> Iterator[Stop]:
        one = known[()].mass.sum()  # 1, as the kind of number at hand
        everywhere = PointLaw(np.array([one * 0, one]), np.array([one]))
        waiting = [_Round((), tuple(range(len(paths))), everywhere, target[()], one)]
        while waiting:
            here = waiting.pop()
            depth = len(here.node)
            winner = max(here.alive, key=lambda k: points[k][depth])
            path, left = paths[winner], here.mass
            wanted = _RowsBelow(target, here.node, here.wanted)
            chosen = _largest_rows(here, path, known, draft)
            for step in block_steps(path[depth:], wanted, chosen):
                mass, left = left * step.accept, left * (1 - step.accept)
                if not mass > 0:
                    continue
                node = (*here.node, *step.node)
                losers = tuple(
                    k for k in here.alive if k != winner and paths[k][: len(node)] == node
                )
                if not losers or len(node) == len(path):
                    yield Stop(node, mass, step.correction())
                    continue
                law = here.law.below(points[winner][depth])
                for place in range(depth, len(node)):
                    law = law.of_child(known[path[:place]], path[place])
                weights = step.correction()
                waiting.append(_Round(node, losers, law, weights / weights.sum(), mass))


_NO_CLOSED_FORM = (
    "`verifier` 'quantile_recursive' has no closed form over all trees, since later rounds depend "
    "on the winner's point: take 'quantile', which it is never below, or average its `tail` over "
    "drawn trees"
)


def _draw_all(
    known: Mapping[Prefix, Items], paths: Sequence[Prefix], rng: np.random.Generator
) -> list[list[float]]:
    return [
        draw_points([known[path[:depth]] for depth in range(len(path))], path, rng)
        for path in paths
    ]


def _largest_rows(
    here: _Round, path: Prefix, known: Mapping[Prefix, Items], draft: Rows
) -> list[Array]:
    """The law of the largest of the paths of a round, token by token along one of them."""
    rows: list[Array] = []
    pieces: Array | None = None
    for depth in range(len(here.node), len(path)):
        items = known[path[:depth]]
        masses = (
            here.law.masses_of_largest(items, len(here.alive))
            if pieces is None
            else inner_masses(items, pieces)
        )
        rows.append(token_law(items, masses, draft[path[:depth]]))
        pieces = bins_below(items, masses, path[depth])
    return rows


class _RowsBelow(Mapping[Prefix, Array]):
    """The target's rows by what comes after a node, whose own row is another one."""

    def __init__(self, target: Rows, node: Prefix, row: Array) -> None:
        self._target, self._node, self._row = target, node, row

    def __getitem__(self, after: Prefix) -> Array:
        return self._target[(*self._node, *after)] if after else self._row

    def __iter__(self) -> Iterator[Prefix]:
        depth = len(self._node)
        return (node[depth:] for node in self._target if node[:depth] == self._node)

    def __len__(self) -> int:
        return sum(1 for _ in self)
