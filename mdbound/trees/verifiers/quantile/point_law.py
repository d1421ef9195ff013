"""What is known of a path's local point at a node: a law that is uniform inside pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbound.trees.verifiers.quantile.filter import bins_below
from mdbound.trees.verifiers.quantile.items import Items
from mdbound.trees.verifiers.rows import Array


@dataclass(frozen=True)
class PointLaw:
    """A law on [0, 1).

    Attributes:
        ends: where the pieces end, ascending, from 0 on, (M + 1,).
        masses: of the pieces, each spread evenly, (M,).

    Example:
        >>> law = PointLaw(np.array([0.0, 1.0]), np.array([1.0]))
        >>> law.below(0.25).ends.tolist()
        [0.0, 0.25]
    """

    ends: Array
    masses: Array

    def below(self, point: Any) -> PointLaw:
        """The law given that the point is below another: what having lost says."""
        begins = self.ends[:-1]
        kept = begins < point
        ends = np.minimum(self.ends[1:][kept], point)
        shares = (ends - begins[kept]) / (self.ends[1:][kept] - begins[kept])
        masses = self.masses[kept] * shares
        return PointLaw(np.concatenate([begins[:1], ends]), masses / masses.sum())

    def masses_of_largest(self, items: Items, count: int) -> Array:
        """Mass of each item under the law of the largest of so many points, (C, N)."""
        low, width = items.low * 0, self.masses_inside(items)
        for begin, end, mass in self._pieces():
            low = low + np.minimum(np.maximum(items.low - begin, 0) / (end - begin), 1) * mass
        upper, total = low + width, items.low * 0
        for power in range(count):
            total = total + upper**power * low ** (count - 1 - power)
        return np.asarray(width * total)

    def masses_inside(self, items: Items) -> Array:
        """Mass inside each item, (C, N): summed over pieces, so that nothing cancels."""
        total, high = items.low * 0, items.low + items.width
        for begin, end, mass in self._pieces():
            overlap = np.minimum(high, end) - np.maximum(items.low, begin)
            total = total + np.maximum(overlap, 0) * (mass / (end - begin))
        return np.asarray(total)

    def of_child(self, items: Items, token: int) -> PointLaw:
        """The law of the local point of a child, given the token that leads to it."""
        bins = bins_below(items, self.masses_inside(items), token)
        one = bins.sum()  # 1, as the kind of number at hand
        return PointLaw(np.array([one * k / len(bins) for k in range(len(bins) + 1)]), bins)

    def _pieces(self) -> zip[tuple[Any, Any, Any]]:
        return zip(self.ends[:-1], self.ends[1:], self.masses, strict=True)
