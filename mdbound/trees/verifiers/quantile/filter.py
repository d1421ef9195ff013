"""The law of the winner, filtered down its path: what each item's mass is, given its prefix."""

from __future__ import annotations

from typing import Any

import numpy as np

from mdbound.trees.verifiers.quantile.items import Items
from mdbound.trees.verifiers.rows import Array


def root_masses(items: Items, num_paths: int) -> Array:
    """Mass of each item when the point is the largest of K uniforms: upper^K - lower^K, (C, N).

    Written as the width times a sum of products, in which nothing cancels.

    Example:
        >>> from mdbound.trees.verifiers.quantile.items import EachToken, items_of
        >>> row = np.array([0.5, 0.5])
        >>> root_masses(items_of(row, row, np.array([1.0]), EachToken()), 2).tolist()
        [[0.25], [0.75]]
    """
    upper, total = items.low + items.width, items.low * 0
    for power in range(num_paths):
        total = total + upper**power * items.low ** (num_paths - 1 - power)
    return np.asarray(items.width * total)


def inner_masses(items: Items, bins: Array) -> Array:
    """Mass of each item when the point is uniform inside bins of these masses, (C, N).

    Args:
        items: of the node.
        bins: pi, masses of equal parts of [0, 1), given the prefix.

    Example:
        >>> from mdbound.trees.verifiers.quantile.items import EachToken, items_of
        >>> row = np.array([0.5, 0.5])
        >>> items = items_of(row, row, np.array([1.0]), EachToken())
        >>> inner_masses(items, np.array([0.25, 0.75])).tolist()
        [[0.25], [0.75]]
    """
    count = len(bins)
    begin, end = items.low * count, (items.low + items.width) * count
    total = items.low * 0
    for place, mass in enumerate(bins):
        inside = np.minimum(end, place + 1) - np.maximum(begin, place)
        total = total + np.maximum(inside, 0) * mass
    return np.asarray(total)


def token_law(items: Items, masses: Array, q: Array) -> Array:
    """g: the law of the next token, (V,): a class's mass, shared by q inside the class."""
    by_class = masses.sum(axis=1)
    drafted = items.mass > 0
    rate = items.mass * 0
    rate[drafted] = by_class[drafted] / items.mass[drafted]
    law = rate[items.classes] * q
    return np.asarray(law / law.sum())


def bins_below(items: Items, masses: Array, token: int) -> Array:
    """Masses of the bins of a child, given the token that leads to it."""
    own = masses[items.classes[token]]
    total: Any = own.sum()
    return np.asarray(own / total)
