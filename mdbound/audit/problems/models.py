"""Problems of several steps: a target and a draft with a row for every prefix."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from mdbound.audit.problems.positions import Row
from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Prefix, strings
from mdbound.trees.drafting.tree_law import TreeLaw

Rows: TypeAlias = dict[Prefix, Row]

MOST_TREES = 4096
"""Trees of a problem that are enumerated: more say little more, and cost a call each."""


@dataclass(frozen=True)
class ModelProblem:
    """A target and a draft, each with a row for every prefix of up to L tokens.

    Attributes:
        name: what is special about it.
        target: rows of p.
        draft: rows of q.
        length: L, the most tokens that are drafted along a path.
        stops: prefixes after which the drafter goes no further, for whatever reason it has.

    Example:
        >>> problem = path_problems(2)[0]
        >>> problem.vocab_size, len(problem.target), problem.goes_on((0, 1))
        (3, 13, False)
    """

    name: str
    target: Rows = field(hash=False)
    draft: Rows = field(hash=False)
    length: int
    stops: frozenset[Prefix] = frozenset()

    @property
    def vocab_size(self) -> int:
        """V."""
        return len(self.target[()])

    def goes_on(self, prefix: Prefix) -> bool:
        """Whether a token is drafted after a prefix."""
        return len(prefix) < self.length and prefix not in self.stops


#: Weights of the rows of target and draft, which prefixes take in turn. Sums are powers of two.
_POOLS: dict[str, tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]] = {
    "rows that change with the prefix": (
        ((8, 5, 3), (2, 4, 10), (6, 6, 4), (1, 12, 3), (5, 2, 9)),
        ((3, 8, 5), (9, 4, 3), (2, 7, 7), (10, 3, 3)),
    ),
    "residuals on several tokens": (
        ((10, 3, 3), (2, 6, 8), (3, 5, 8)),
        ((12, 1, 3), (11, 3, 2), (12, 3, 1)),
    ),
    "ties in the ratio": (((4, 4, 8), (8, 4, 4)), ((8, 8, 0), (4, 4, 8), (6, 2, 8))),
    "p = q everywhere": (((8, 5, 3), (2, 4, 10), (6, 6, 4)), ((8, 5, 3), (2, 4, 10), (6, 6, 4))),
    "p almost q": (((341, 342, 341), (340, 342, 342)), ((342, 341, 341), (342, 341, 341))),
    "zeros in both": (
        ((0, 8, 8), (8, 8, 0), (4, 6, 6), (16, 0, 0)),
        ((8, 8, 0), (8, 0, 8), (0, 4, 12), (5, 6, 5)),
    ),
    "point-mass drafts": (((8, 6, 2), (4, 6, 6), (2, 2, 12)), ((16, 0, 0), (0, 16, 0))),
    "point-mass targets": (((0, 16, 0), (16, 0, 0), (6, 5, 5)), ((5, 8, 3), (9, 4, 3))),
    "tokens that only the draft has": (((0, 10, 6), (0, 3, 13)), ((8, 4, 4), (6, 5, 5))),
}

#: Equal rows at the context, others after it: ties between first tokens, and only there.
_EQUAL_FIRST = "p = q at the context alone"
_SHORTENED = "drafts that stop early"
_SEEDED = 4
"""Problems with random rows: a few, for what the others were not made to find."""


def path_problems(length: int, vocab_size: int = 3) -> tuple[ModelProblem, ...]:
    """The battery of one drafted path.

    Args:
        length: L; all V^L paths are enumerated.
        vocab_size: V, 2 or 3. Wrong rules pass at 2, which is good for showing that alone.

    Raises:
        InvalidSettingError: fewer than 1 or more than 4 tokens, or another vocabulary.

    Example:
        >>> [problem.name for problem in path_problems(2)][-5]
        'drafts that stop early'
    """
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= 4:
        raise InvalidSettingError(f"`draft_length` {length!r}: give 1 to 4")
    if vocab_size not in (2, 3):
        raise InvalidSettingError(f"`vocab_size` {vocab_size!r}: give 2 or 3")
    stops = frozenset(each for each in _prefixes(vocab_size, length - 1) if sum(each) % 3 == 1)
    first = _from_pools("rows that change with the prefix", vocab_size, length)
    return (
        *_named(vocab_size, length),
        ModelProblem(_SHORTENED, first.target, first.draft, length, stops),
        *_seeded(vocab_size, length),
    )


def tree_problems(law: TreeLaw) -> tuple[ModelProblem, ...]:
    """The battery for trees of a law, over three tokens where they can be enumerated, else two.

    Args:
        law: how trees are drawn.

    Raises:
        InvalidSettingError: there are more than `MOST_TREES` trees over two tokens.

    Example:
        >>> from mdbound.trees import Paths
        >>> len(tree_problems(Paths(2, 2)))
        14
    """
    sizes = [size for size in (3, 2) if law.most_trees(size) <= MOST_TREES]
    if not sizes:
        raise InvalidSettingError(
            f"{law.title()}: {law.most_trees(2):.3g} trees over two tokens are too many to "
            f"enumerate; give a law with up to {MOST_TREES}"
        )
    return (*_named(sizes[0], law.depth), *_seeded(sizes[0], law.depth))


def _named(vocab_size: int, length: int) -> Iterable[ModelProblem]:
    yield from (_from_pools(name, vocab_size, length) for name in _POOLS)
    plain = _from_pools("rows that change with the prefix", vocab_size, length)
    yield ModelProblem(_EQUAL_FIRST, plain.target, {**plain.draft, (): plain.target[()]}, length)


def _from_pools(name: str, vocab_size: int, length: int) -> ModelProblem:
    of_target, of_draft = _POOLS[name]
    target: Rows = {}
    draft: Rows = {}
    for number, prefix in enumerate(_prefixes(vocab_size, length)):
        target[prefix] = _row(of_target[number % len(of_target)], vocab_size)
        draft[prefix] = _row(of_draft[number % len(of_draft)], vocab_size)
    return ModelProblem(name, target, draft, length)


def _row(weights: Sequence[int], vocab_size: int) -> Row:
    """Weights as a row; the last ones are put together where there are fewer tokens."""
    kept = [*weights[: vocab_size - 1], sum(weights[vocab_size - 1 :])]
    return tuple(Fraction(weight, sum(weights)) for weight in kept)


def _seeded(vocab_size: int, length: int) -> Iterable[ModelProblem]:
    for seed in range(_SEEDED):
        dice = random.Random(f"mdbound audit {seed}")
        target, draft = ({}, {})  # type: tuple[Rows, Rows]
        for prefix in _prefixes(vocab_size, length):
            target[prefix], draft[prefix] = (_random_row(dice, vocab_size) for _ in range(2))
        yield ModelProblem(f"random rows {seed}", target, draft, length)


def _random_row(dice: random.Random, vocab_size: int) -> Row:
    """Sixteen units thrown at the tokens, some of which get none."""
    open_tokens = dice.sample(range(vocab_size), dice.randint(1, vocab_size))
    thrown = dice.choices(open_tokens, k=16)
    return tuple(Fraction(thrown.count(token), 16) for token in range(vocab_size))


def _prefixes(vocab_size: int, length: int) -> Iterable[Prefix]:
    for depth in range(length + 1):
        yield from strings(vocab_size, depth)
