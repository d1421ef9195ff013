"""What the path bound needs of a capture: a few numbers a node, whatever the vocabulary is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbound.trees.optima.path_bound.hats import Basis, Floats


@dataclass(frozen=True)
class RowFeatures:
    """Of rows of both models, and the token that followed each.

    Attributes:
        ratio: u of the token, (N,).
        target_means: for each basis the target's means of its hats of u, (N, U).
        draft_means: likewise of the draft.
    """

    ratio: Floats
    target_means: tuple[Floats, ...]
    draft_means: tuple[Floats, ...]


@dataclass(frozen=True)
class PathFeatures:
    """Of n contexts, K drafted paths of L tokens and one text at each.

    Attributes:
        drafted: rows along the paths, in the order of (context, path, depth).
        text: rows along the texts, in the order of (context, depth).
        shape: n, K, L.
        text_left: (n,), tokens that the text is sure to have: that may depend on the place of the
            context, never on what followed.
    """

    drafted: RowFeatures
    text: RowFeatures
    shape: tuple[int, int, int]
    text_left: NDArray[np.int64]


def row_features(
    target: Floats, draft: Floats, tokens: NDArray[np.int64], bases: Sequence[Basis]
) -> RowFeatures:
    """Features of rows.

    Args:
        target: p, (N, V).
        draft: q, (N, V).
        tokens: The token that followed each, (N,).
        bases: Whose means are wanted.

    Example:
        >>> from mdbound.trees.optima.path_bound.hats import Hats
        >>> p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
        >>> hats = Hats((-1.0, 1.0))
        >>> found = row_features(p, q, np.array([0]), [Basis(hats, hats)])
        >>> round(found.ratio.item(), 6), float(found.draft_means[0].sum())
        (0.693147, 1.0)
    """
    ratio = log_ratios(target, draft)
    rows = range(len(tokens))
    return RowFeatures(
        ratio[rows, tokens],
        *(tuple(basis.token.means(ratio, law) for basis in bases) for law in (target, draft)),
    )


def log_ratios(p: Floats, q: Floats) -> Floats:
    """log(p/q): -inf where p is 0, inf where only q is.

    Example:
        >>> log_ratios(np.array([0.0, 0.5, 0.5]), np.array([0.5, 0.5, 0.0])).tolist()
        [-inf, 0.0, inf]
    """
    found = np.full(p.shape, -np.inf)
    with np.errstate(divide="ignore"):
        np.subtract(np.log(p), np.log(q), out=found, where=p > 0.0)
    return found


def ended_features(count: int, bases: Sequence[Basis]) -> RowFeatures:
    """Of rows behind an end token, which both models are taken to repeat for certain.

    No verifier accepts less for it, so that bounds stay bounds.

    Example:
        >>> ended_features(2, []).ratio.tolist()
        [0.0, 0.0]
    """
    ratio = np.zeros(count)
    means = tuple(basis.token.values(ratio) for basis in bases)
    return RowFeatures(ratio, means, means)


def joined(parts: Sequence[RowFeatures]) -> RowFeatures:
    """Rows one after the other.

    Example:
        >>> joined([ended_features(1, []), ended_features(2, [])]).ratio.shape
        (3,)
    """
    return RowFeatures(
        np.concatenate([part.ratio for part in parts]),
        _stacked([part.target_means for part in parts]),
        _stacked([part.draft_means for part in parts]),
    )


def _stacked(means: Sequence[tuple[Floats, ...]]) -> tuple[Floats, ...]:
    return tuple(np.concatenate(each) for each in zip(*means, strict=True))


def taken(rows: RowFeatures, at: NDArray[np.int64]) -> RowFeatures:
    """Rows by number.

    Example:
        >>> taken(ended_features(3, []), np.array([0, 2])).ratio.shape
        (2,)
    """
    return RowFeatures(
        rows.ratio[at],
        tuple(each[at] for each in rows.target_means),
        tuple(each[at] for each in rows.draft_means),
    )
