"""Target, drafts and how a tree is drafted: reference cases, and seeded random ones."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from tests.oracles.path_verification import Model, Prefix, Row, constant_model
from tests.oracles.trees.dice import ZERO, Dice, Number, law

F = Fraction
Entry = tuple[int, int]
"""A drafted token, and the number of the draft model that drew it."""


@dataclass(frozen=True)
class Tree:
    """Drafted entries after each internal node, in the order of their draws, copies kept."""

    entries: tuple[tuple[Prefix, tuple[Entry, ...]], ...]
    paths: tuple[Prefix, ...] = ()
    lists: dict[Prefix, tuple[Entry, ...]] = field(init=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", dict(self.entries))

    def tokens(self, node: Prefix) -> list[int]:
        return [token for token, _ in self.lists.get(node, ())]

    def children(self, node: Prefix) -> list[int]:
        return list(dict.fromkeys(self.tokens(node)))

    def nodes(self) -> frozenset[Prefix]:
        return frozenset((*node, token) for node, drawn in self.entries for token, _ in drawn)


@dataclass(frozen=True)
class Case:
    """Rows, and the draft law: K paths where `num_paths` is given, else branching.

    K paths are one path for `trunk` tokens. Branches are counted by depth (`widths`), or by slots:
    the ranks of a node's ancestors and its own among their siblings.
    """

    target: Model
    drafts: tuple[Model, ...]
    length: int
    num_paths: int = 0
    trunk: int = 0
    sampling: str = "with_replacement"
    widths: tuple[int, ...] = ()
    slots: tuple[Prefix, ...] = ()

    @property
    def vocab_size(self) -> int:
        return len(self.target[()])

    def model(self, number: int) -> Model:
        return self.drafts[number % len(self.drafts)]

    def width(self, slot: Prefix) -> int:
        """How many tokens are drafted after a node, as long as there are so many."""
        if self.slots:
            return sum(other[:-1] == slot for other in self.slots)
        return self.widths[len(slot)] if len(slot) < len(self.widths) else 0

    def draw(self, dice: Dice) -> Tree:
        return self._draw_paths(dice) if self.num_paths else self._draw_branches(dice)

    def _draw_paths(self, dice: Dice) -> Tree:
        trunk = self._draw_path(dice, 0, (), self.trunk)
        paths = [self._draw_path(dice, k, trunk, self.length) for k in range(self.num_paths)]
        lists: dict[Prefix, tuple[Entry, ...]] = {}
        for level in range(self.length):
            for number, path in enumerate(paths[:1] if level < self.trunk else paths):
                node = path[:level]
                lists[node] = (*lists.get(node, ()), (path[level], number))
        return Tree(tuple(lists.items()), tuple(paths))

    def _draw_path(self, dice: Dice, number: int, path: Prefix, length: int) -> Prefix:
        while len(path) < length:
            path = (*path, dice.pick(self.model(number)[path]))
        return path

    def _draw_branches(self, dice: Dice) -> Tree:
        lists: dict[Prefix, tuple[Entry, ...]] = {}
        level: list[tuple[Prefix, Prefix]] = [((), ())]
        while level:
            node, slot = level.pop(0)
            drawn = DRAWS[self.sampling](dice, self.drafts[0][node], self.width(slot))
            lists[node] = tuple((token, 0) for token in drawn)
            for rank, token in enumerate(dict.fromkeys(drawn)):
                if self.width((*slot, rank)):
                    level.append(((*node, token), (*slot, rank)))
        return Tree(tuple(lists.items()))

    def trees(self) -> dict[Tree, Number]:
        return law(self.draw)

    def node_sets(self) -> dict[frozenset[Prefix], Number]:
        """Law of the set of drafted nodes: all that the best verifier has to know."""
        found: dict[frozenset[Prefix], Number] = {}
        for tree, mass in self.trees().items():
            found[tree.nodes()] = found.get(tree.nodes(), ZERO) + mass
        return found


def by_rank(row: Row) -> list[int]:
    """Tokens that can be drafted, the most likely first."""
    return sorted((t for t, mass in enumerate(row) if mass), key=lambda t: (-row[t], t))


def _with_replacement(dice: Dice, row: Row, width: int) -> list[int]:
    return [dice.pick(row) for _ in range(width)]


def _without_replacement(dice: Dice, row: Row, width: int) -> list[int]:
    left, drawn = list(row), list[int]()
    while any(left) and len(drawn) < width:
        drawn.append(dice.pick(left))
        left[drawn[-1]] = ZERO
    return drawn


def _greedy(dice: Dice, row: Row, width: int) -> list[int]:
    top = by_rank(row)[: width - 1]
    rest = [ZERO if token in top else mass for token, mass in enumerate(row)]
    return [*top, dice.pick(rest)] if any(rest) else top


def _top_k(dice: Dice, row: Row, width: int) -> list[int]:
    return by_rank(row)[:width]


DRAWS: dict[str, Callable[[Dice, Row, int], list[int]]] = {
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,
    "greedy": _greedy,
    "top_k": _top_k,
}


def paths_case(target: Model, draft: Model, length: int, num_paths: int) -> Case:
    return Case(target, (draft,), length, num_paths)


def branching_case(target: Model, draft: Model, widths: tuple[int, ...], sampling: str) -> Case:
    return Case(target, (draft,), len(widths), sampling=sampling, widths=widths)


def prefixes(vocab_size: int, longest: int) -> list[Prefix]:
    return [
        prefix
        for length in range(longest + 1)
        for prefix in itertools.product(range(vocab_size), repeat=length)
    ]


def uniform_row(rng: random.Random, vocab_size: int) -> Row:
    """Integer weights 0..6, at least one positive."""
    while True:
        weights = [rng.randint(0, 6) for _ in range(vocab_size)]
        if any(weights):
            return tuple(F(weight, sum(weights)) for weight in weights)


def uniform_models(seed: int, vocab_size: int, length: int) -> tuple[Model, Model]:
    """Independent rows; one in eight pairs is equal, so that ratios tie."""
    rng = random.Random(f"uniform {seed}")
    target = {prefix: uniform_row(rng, vocab_size) for prefix in prefixes(vocab_size, length)}
    draft = {
        prefix: target[prefix] if rng.random() < 1 / 8 else uniform_row(rng, vocab_size)
        for prefix in prefixes(vocab_size, length - 1)
    }
    return target, draft


def language_models(seed: int, vocab_size: int, length: int) -> tuple[Model, Model]:
    """Logits N(0, 1.5), draft noise N(0, 1), rounded to fractions of small numbers."""
    rng = random.Random(f"language {seed}")
    target: Model = {}
    draft: Model = {}
    for prefix in prefixes(vocab_size, length):
        logits = [rng.gauss(0, 1.5) for _ in range(vocab_size)]
        target[prefix] = rounded(logits)
        if len(prefix) < length:
            draft[prefix] = rounded([logit + rng.gauss(0, 1) for logit in logits])
    return target, draft


def rounded(logits: list[float]) -> Row:
    weights = [math.exp(logit - max(logits)) for logit in logits]
    counts = [1 + round(400 * weight / sum(weights)) for weight in weights]
    return tuple(F(count, sum(counts)) for count in counts)


def rows(*weights: int) -> Row:
    return tuple(F(weight, sum(weights)) for weight in weights)


TWO_TOKEN = constant_model(rows(1, 2), 3), constant_model(rows(2, 1), 2)
"""The law (1/3, 2/3) against its mirror image, after every prefix."""
REF1 = (
    {(): rows(1, 1), (0,): rows(1, 1), (1,): rows(1, 0)},
    {(): rows(1, 3), (0,): rows(1, 3), (1,): rows(1, 1)},
)
REF2 = (
    {(): rows(3, 2, 1), (0,): rows(1, 2, 3), (1,): rows(1, 1, 1), (2,): rows(0, 1, 1)},
    {(): rows(1, 3, 2), (0,): rows(3, 2, 1), (1,): rows(2, 1, 1), (2,): rows(1, 1, 1)},
)


def with_leaves(models: tuple[Model, Model], length: int) -> tuple[Model, Model]:
    """Uniform target rows where none is given: after leaves, no accepted length depends on them."""
    target, draft = dict(models[0]), models[1]
    size = len(target[()])
    for prefix in prefixes(size, length):
        target.setdefault(prefix, rows(*[1] * size))
    return target, draft
