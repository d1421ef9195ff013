"""The items of a node: classes of tokens crossed with bins of what comes below, in their order.

Item (c, j) stands for a next token of class c whose child's quantile lies in bin j. It has the mass
q(c) / N and the score p/q of the class times the bin's multiplier. Sorted by (score, class, bin)
the items tile [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mdbound.errors import InvalidSettingError
from mdbound.trees.verifiers.rows import Array

LOWEST, HIGHEST = -3.0, 8.0
"""Log-ratios are clipped here: rarer ones move a score by nothing that a path would notice."""


SMALLEST_STEP = 0.01
"""Smaller steps order paths no better, and classes get too many for a table."""


class TokenClasses(Protocol):
    """How tokens are put together whose scores count as equal."""

    def of(self, p: Array, q: Array) -> tuple[Array, Array]:
        """The class of each token, (V,), and the score p/q of each class, (C,)."""


@dataclass(frozen=True)
class EachToken:
    """Every token is a class; equal ratios are ranked by token id."""

    def of(self, p: Array, q: Array) -> tuple[Array, Array]:
        """See `TokenClasses.of`.

        Example:
            >>> EachToken().of(np.array([0.5, 0.5]), np.array([0.25, 0.75]))[1].round(3).tolist()
            [2.0, 0.667]
        """
        ratio = p * 0
        drafted = q > 0
        ratio[drafted] = p[drafted] / q[drafted]
        return np.arange(len(q)), ratio


@dataclass(frozen=True)
class RoundedRatios:
    """Classes of log(p/q), rounded to a step and clipped: a table of one order for all nodes.

    Attributes:
        step: of the logarithm; a larger one has fewer items, and orders paths more coarsely.

    Raises:
        InvalidSettingError: a step below `SMALLEST_STEP` or above 1.
    """

    step: float = 0.05

    def __post_init__(self) -> None:
        if not SMALLEST_STEP <= self.step <= 1.0:
            raise InvalidSettingError(
                f"`step` is {self.step}: give a number from {SMALLEST_STEP} to 1"
            )

    @property
    def scores(self) -> Array:
        """p/q of each class, (C,)."""
        count = round((HIGHEST - LOWEST) / self.step) + 1
        return np.asarray(np.exp(LOWEST + self.step * np.arange(count)))

    @property
    def edges(self) -> Array:
        """Where one class ends and the next begins, (C - 1,); an edge is of the next."""
        return np.asarray(self.scores[:-1] * np.exp(self.step / 2))

    def of(self, p: Array, q: Array) -> tuple[Array, Array]:
        """See `TokenClasses.of`.

        Example:
            >>> p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
            >>> classes, scores = RoundedRatios(1.0).of(p, q)
            >>> np.log(scores[classes]).round(6).tolist()
            [1.0, 0.0]
        """
        # What is never drafted goes to the last class, where it has no mass.
        ratio = np.divide(p, q, out=np.full(len(q), np.inf), where=q > 0)
        return np.searchsorted(self.edges, ratio, side="right"), self.scores


@dataclass(frozen=True)
class Items:
    """The items of one node.

    Attributes:
        classes: class of each token, (V,).
        mass: q of each class, (C,).
        low: where each item begins, (C, N).
        width: its mass, (C, N).
    """

    classes: Array
    mass: Array
    low: Array
    width: Array

    def interval(self, token: int, bin_: int) -> tuple[Any, Any]:
        """Where the item of a token and bin begins, and its width."""
        place = (self.classes[token], bin_)
        return self.low[place], self.width[place]


def items_of(p: Array, q: Array, multipliers: Array, classes: TokenClasses) -> Items:
    """The items of a node.

    Args:
        p: row of the target, (V,).
        q: row of the draft, (V,).
        multipliers: e^h of the bins of a child, (N,); `[1]` above a leaf.
        classes: how tokens are put together.

    Example:
        >>> row = np.array([0.5, 0.5])
        >>> items_of(row, row, np.array([1.0, 2.0]), EachToken()).low.tolist()
        [[0.0, 0.5], [0.25, 0.75]]
    """
    of_token, score = classes.of(p, q)
    mass = score * 0
    np.add.at(mass, of_token, q)
    bins = len(multipliers)
    width = np.repeat((mass / bins)[:, None], bins, axis=1)
    scores = (score[:, None] * multipliers[None, :]).ravel()
    # Classes and bins are in order already, so that a stable sort ranks equal scores by them.
    order = np.argsort(scores, kind="stable")
    upto = np.cumsum(width.ravel()[order])
    low = np.empty_like(width).ravel()
    low[order] = np.concatenate([upto[:1] * 0, upto[:-1]])
    total = upto[-1]
    return Items(of_token, mass, low.reshape(width.shape) / total, width / total)
