"""The point of a path: its quantile among all paths, known up to uniforms of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from mdbound.trees.verifiers.quantile.items import Items

Pieces: TypeAlias = list[tuple[Any, Any, Any]]
"""A law on [0, 1) as (begin, width, mass) of uniform pieces."""


def point_pieces(items: Sequence[Items], path: Sequence[int]) -> Pieces:
    """The law of a path's point, given the path.

    From the last token up: U is uniform in the interval of (token, bin), and the bin above is the
    one that U falls into. The root's U is the point.

    Args:
        items: of the path's prefixes, from the context on.
        path: its tokens.
    """
    law: dict[int, Any] = {0: 1}
    for depth in range(len(path) - 1, 0, -1):
        bins = items[depth - 1].width.shape[1]
        above: dict[int, Any] = {}
        for bin_, mass in law.items():
            low, width = items[depth].interval(path[depth], bin_)
            for place, inside in _shares(low, width, bins):
                above[place] = above.get(place, 0) + mass * inside
        law = above
    return [(*items[0].interval(path[0], bin_), mass) for bin_, mass in law.items()]


def draw_points(
    items: Sequence[Items], path: Sequence[int], rng: np.random.Generator
) -> list[float]:
    """The points of a path at its prefixes, as a server draws them; the first is the path's own.

    Args:
        items: as `point_pieces`.
        path: as `point_pieces`.
        rng: source of the uniforms, which are the path's own.
    """
    bin_ = 0
    points: list[float] = []
    for depth in range(len(path) - 1, -1, -1):
        low, width = items[depth].interval(path[depth], bin_)
        points.append(float(low) + float(width) * float(rng.random()))
        if depth:
            bins = items[depth - 1].width.shape[1]
            bin_ = min(int(bins * points[-1]), bins - 1)
    return points[::-1]


def largest_point(laws: Sequence[Pieces]) -> list[Any]:
    """P(point k is the largest), for independent points with these laws.

    Exact: between the ends of all pieces every distribution function is linear, and their product
    a polynomial.

    Example:
        >>> largest_point([[(0.0, 1.0, 1.0)], [(0.0, 0.5, 1.0)]])
        [0.75, 0.25]
    """
    ends = sorted({end for law in laws for low, width, _ in law for end in (low, low + width)})
    # Nought of the kind of number at hand: an int divided by an int would be a float.
    nought = ends[0] * 0
    below: list[Any] = [nought] * len(laws)
    found: list[Any] = [nought] * len(laws)
    for start, stop in pairwise(ends):
        gains = [_mass_between(law, start, stop) for law in laws]
        for index, gain in enumerate(gains):
            if gain > 0:
                others = [(below[k], gains[k]) for k in range(len(laws)) if k != index]
                found[index] += gain * _mean_of_product(others, nought + 1)
        below = [one + gain for one, gain in zip(below, gains, strict=True)]
    total = sum(found)
    return [value / total for value in found]


def _mass_between(law: Pieces, start: Any, stop: Any) -> Any:
    total = start * 0
    for low, width, mass in law:
        if low < stop and start < low + width:
            # Ends of pieces are among the points, so a piece covers the stretch or misses it.
            total += mass * (stop - start) / width
    return total


def _mean_of_product(lines: Sequence[tuple[Any, Any]], one: Any) -> Any:
    """The mean over u in [0, 1] of the product of a + b u."""
    polynomial: list[Any] = [one]
    for a, b in lines:
        longer: list[Any] = [one * 0] * (len(polynomial) + 1)
        for power, value in enumerate(polynomial):
            longer[power] += a * value
            longer[power + 1] += b * value
        polynomial = longer
    return sum(value / (power + 1) for power, value in enumerate(polynomial))


def _shares(low: Any, width: Any, bins: int) -> list[tuple[int, Any]]:
    """Which bins of [0, 1) a uniform piece falls into, and its share in each."""
    found = []
    for place in range(bins):
        # In units of bins, so that fractions stay fractions.
        inside = min(place + 1, (low + width) * bins) - max(place, low * bins)
        if inside > 0:
            found.append((place, inside / (width * bins)))
    return found
