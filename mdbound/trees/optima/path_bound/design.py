"""Features -> arrays that prices are linear in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.trees.optima.path_bound.features import PathFeatures, RowFeatures
from mdbound.trees.optima.path_bound.hats import Basis, Floats


@dataclass(frozen=True)
class Design:
    """Products of hats along N paths of L tokens.

    Attributes:
        token: At the tokens, (N, L, B).
        target: Means under the target's rows, (N, L, B).
        draft: Means under the draft's rows, (N, L, B).
    """

    token: Floats
    target: Floats
    draft: Floats

    def worth(self, psi: Floats) -> Floats:
        """The target's means c of psi at the nodes of a path; (N, L), the context first.

        Args:
            psi: Coefficients by depth, (L, B).

        Example:
            >>> one = np.ones((1, 2, 1))
            >>> Design(one, one, one).worth(np.array([[1.0], [3.0]])).tolist()
            [[1.0, 3.0]]
        """
        return np.asarray(np.einsum("nlb,lb->nl", self.target, psi))

    def of(self, rows: NDArray[np.int64]) -> Design:
        """Some of the paths.

        Example:
            >>> two = np.ones((2, 1, 1))
            >>> Design(two, two, two).of(np.array([1])).token.shape
            (1, 1, 1)
        """
        return Design(self.token[rows], self.target[rows], self.draft[rows])


@dataclass(frozen=True)
class ContextDesigns:
    """Of n contexts.

    Attributes:
        drafted: Of their n K paths, those of a context together.
        text: Of their texts, n.
        has_text: (n,), whether these are whole, which their place decides.
        num_paths: K, paths at a context.
    """

    drafted: Design
    text: Design
    has_text: NDArray[np.bool_]
    num_paths: int

    @property
    def roots(self) -> Floats:
        """Means under the target's row at each context, (n, B)."""
        return self.drafted.target[:: self.num_paths, 0]

    def of(self, contexts: NDArray[np.int64]) -> ContextDesigns:
        """Some of the contexts."""
        paths = (contexts[:, None] * self.num_paths + np.arange(self.num_paths)).ravel()
        return ContextDesigns(
            self.drafted.of(paths),
            self.text.of(contexts),
            self.has_text[contexts],
            self.num_paths,
        )


def designs_of(features: PathFeatures, place: int, basis: Basis, length: int) -> ContextDesigns:
    """Arrays of one basis, of the first tokens of every path.

    Args:
        features: Of contexts.
        place: Number of the basis among those of the features.
        basis: The basis.
        length: Tokens of a path, L or fewer.
    """
    contexts, count, depth = features.shape
    return ContextDesigns(
        _design(features.drafted, place, basis, (contexts * count, depth), length),
        _design(features.text, place, basis, (contexts, depth), length),
        features.text_left >= length,
        count,
    )


def _design(
    rows: RowFeatures, place: int, basis: Basis, shape: tuple[int, int], length: int
) -> Design:
    ratio = rows.ratio.reshape(shape)[:, :length]
    with np.errstate(invalid="ignore"):
        ends = np.nancumsum(np.clip(ratio, -FAR, FAR), axis=1)
    before = np.concatenate([np.zeros((shape[0], 1)), ends[:, :-1]], axis=1)
    made = [
        basis.products(values.reshape(*shape, -1)[:, :length], before)
        for values in (
            basis.token.values(rows.ratio),
            rows.target_means[place],
            rows.draft_means[place],
        )
    ]
    return Design(*made)


#: Log-ratios of single tokens are cut here before they are added: far beyond the knots, and sums
#: of infinities of both signs would be no numbers.
FAR = 1e3
