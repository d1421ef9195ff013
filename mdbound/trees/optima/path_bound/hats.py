"""Piecewise-linear hats: what the functions of the path bound are made of.

A function of a drafted token is a sum of products of a hat of u = log p(t|x)/q(t|x) and a hat of
s = log p(x)/q(x), the ratio of the tokens before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.errors import InvalidSettingError

Floats = NDArray[np.float64]

#: Knots of u and of s, many and few: many follow the functions better and take more contexts to
#: fit. They reach past log K, where no more than one of K drafts is ever missing.
MANY = (
    (-2.5, -1.5, -0.75, -0.25, 0.25, 0.75, 1.25, 2.0, 3.0),
    (-1.5, -0.5, 0.25, 1.0, 2.0),
)
FEW = (
    (-1.5, -0.5, 0.25, 1.0, 1.75, 2.5, 3.5),
    (-1.0, 0.25, 1.5, 3.0),
)


@dataclass(frozen=True)
class Hats:
    """Hats on knots; beyond the outer ones the outer hats are 1.

    Attributes:
        knots: Two or more, ascending.

    Raises:
        InvalidSettingError: Fewer, or not ascending.

    Example:
        >>> Hats((0.0, 1.0)).values(np.array([-1.0, 0.25, 7.0])).tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]
    """

    knots: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or not np.all(np.diff(self.knots) > 0.0):
            raise InvalidSettingError(f"`knots` {self.knots}: give two or more, ascending")

    def values(self, at: Floats) -> Floats:
        """The hats at numbers of any shape; a last axis of hats is added."""
        left, share = self._place(at)
        found = np.zeros((*np.shape(at), len(self.knots)))
        np.put_along_axis(found, left[..., None], (1.0 - share)[..., None], axis=-1)
        np.put_along_axis(found, left[..., None] + 1, share[..., None], axis=-1)
        return found

    def means(self, at: Floats, masses: Floats) -> Floats:
        """Sums of the hats at numbers, weighted by masses.

        Args:
            at: (N, V).
            masses: (N, V).

        Returns:
            (N, hats).

        Example:
            >>> Hats((0.0, 1.0)).means(np.array([[0.25, 2.0]]), np.array([[0.5, 0.5]])).tolist()
            [[0.375, 0.625]]
        """
        left, share = self._place(at)
        rows, count = len(at), len(self.knots)
        cell = (left + np.arange(rows)[:, None] * count).ravel()
        upper = masses * share
        of_left, of_right = (
            np.bincount(cell, weights=each.ravel(), minlength=rows * count).reshape(rows, count)
            for each in (masses - upper, upper)
        )
        of_left[:, 1:] += of_right[:, :-1]
        return np.asarray(of_left)

    def _place(self, at: Floats) -> tuple[NDArray[np.int64], Floats]:
        knots = np.asarray(self.knots)
        inside = np.clip(at, knots[0], knots[-1])
        left = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
        return left, (inside - knots[left]) / (knots[left + 1] - knots[left])


@dataclass(frozen=True)
class Basis:
    """Products of hats.

    Attributes:
        token: Hats of u.
        before: Hats of s.
    """

    token: Hats
    before: Hats

    @property
    def size(self) -> int:
        """Number of products."""
        return len(self.token.knots) * len(self.before.knots)

    def products(self, of_token: Floats, before: Floats) -> Floats:
        """Products of hats of u, or their means, (..., U), with the hats at s, (...): (..., size).

        Example:
            >>> basis = Basis(Hats((0.0, 1.0)), Hats((0.0, 2.0)))
            >>> basis.products(basis.token.values(np.array([0.5])), np.array([1.0])).tolist()
            [[0.25, 0.25, 0.25, 0.25]]
        """
        made = of_token[..., :, None] * self.before.values(before)[..., None, :]
        return made.reshape(*made.shape[:-2], self.size)


BASES: tuple[Basis, ...] = tuple(Basis(Hats(token), Hats(before)) for token, before in (MANY, FEW))
"""The bases that a fit chooses from."""
