"""The mean over subsets of K paths of their largest value, and groups of K paths for a fit."""

from __future__ import annotations

import itertools
import math

import numpy as np

from mdbound.trees.optima.path_bound.hats import Floats
from mdbound.trees.optima.path_bound.smooth import Groups

#: Groups that a path of another context is put into, where contexts hold fewer than K: more of
#: them make a fit slower, and less noisy.
ROUNDS = 4

#: Subsets of the paths of a context that a fit looks at.
MOST_SUBSETS = 24


def mean_largest(values: Floats, size: int) -> Floats:
    """For each context what it adds to the mean of the largest of `size` paths.

    Where contexts hold so many paths it is the mean over the subsets of each. Where they do not,
    subsets are of paths of all contexts together, and a context's number is what its paths add
    to that mean (the first-order part of a U-statistic); numbers average to it exactly. Across
    contexts the mean is never smaller, since that of the K-th power of a distribution function is
    at least the K-th power of its mean.

    Args:
        values: Of the paths, (n, paths at a context).
        size: K.

    Returns:
        (n,).

    Raises:
        InvalidSettingError: fewer than K paths in all.

    Example:
        >>> mean_largest(np.array([[1.0, 2.0, 4.0]]), 2).round(9).tolist()
        [3.333333333]
        >>> mean_largest(np.array([[1.0], [2.0], [4.0]]), 2).mean().round(9).item()
        3.333333333
    """
    from mdbound.errors import InvalidSettingError

    contexts, count = values.shape
    if size <= count:
        return np.asarray(np.sort(values, axis=1) @ _chance_of_rank(count, size))
    total = contexts * count
    if size > total:
        raise InvalidSettingError(
            f"`num_paths` {size}: there are {total} paths in all; capture more contexts"
        )
    order = np.argsort(values.ravel(), kind="stable")
    ordered = values.ravel()[order]
    place = np.arange(total)
    as_largest = _share_below(place, size - 1, total - 1)
    # With the path at hand in the subset, another is the largest with the chance that the rest
    # are below it.
    beaten = _share_below(place - 1, size - 2, total - 2) * (size - 1) / (total - 1)
    above = np.append(np.cumsum((beaten * ordered)[::-1])[::-1][1:], 0.0)
    with_path = np.empty(total)
    with_path[order] = as_largest * ordered + above
    mean = float(with_path.mean())
    return np.asarray(mean + size * (with_path.reshape(contexts, count).mean(axis=1) - mean))


def _chance_of_rank(count: int, size: int) -> Floats:
    """Chance that the largest of `size` of `count` has each rank, ascending."""
    return np.array([math.comb(rank, size - 1) for rank in range(count)]) / math.comb(count, size)


def _share_below(below: Floats | Groups, size: int, total: int) -> Floats:
    """C(below, size) / C(total, size)."""
    found = np.ones(len(below))
    for one in range(size):
        found *= np.maximum(below - one, 0) / (total - one)
    return found


def path_groups(contexts: int, count: int, size: int) -> Groups:
    """Groups of `size` paths, numbered context by context: of one context where it holds so many.

    Example:
        >>> path_groups(2, 2, 2).tolist()
        [[0, 1], [2, 3]]
        >>> path_groups(3, 1, 2).shape
        (4, 2)
    """
    rng = np.random.default_rng(0)
    if size <= count:
        subsets = np.array(list(itertools.islice(itertools.combinations(range(count), size), 4096)))
        if len(subsets) > MOST_SUBSETS:
            subsets = rng.permuted(np.tile(np.arange(count), (MOST_SUBSETS, 1)), axis=1)[:, :size]
        return np.asarray(
            (np.arange(contexts)[:, None, None] * count + subsets).reshape(-1, size), np.int64
        )
    total = contexts * count
    whole = total // size * size
    rounds = [rng.permutation(total)[:whole].reshape(-1, size) for _ in range(ROUNDS)]
    return np.asarray(np.concatenate(rounds), np.int64)
