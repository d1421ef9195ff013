"""A topology on a text: expected accepted length, unbiased, without a tree having been drawn.

Along the text a rule used node by node passes from slot to slot: the next token stood in slot k of
the list drafted there with some share c_k of its probability. With w the products of shares that
lead to a slot, the mean over starts of the sum of w times the acceptance at the slot is E tau.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound.analysis.trees.topology_search.slot_draws import SlotDraws
from mdbound.analysis.trees.tree_tables import clustered_error
from mdbound.trees import Topology
from mdbound.trees.topologies.topology import Slot

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TextValue:
    """A topology's value on a text.

    Attributes:
        expected_length: E tau, a mean over positions.
        standard_error: over documents; None for one.
        by_depth: P(tau >= d), d = 1..L.
        weights: for each depth and position the weight with which windows come to it, (L, N).
        starts: positions with a whole window.
    """

    expected_length: float
    standard_error: float | None
    by_depth: Floats
    weights: Floats
    starts: int


def value_on_text(topology: Topology, draws: SlotDraws) -> TextValue:
    """E tau of a rule on trees of a topology, from its slots at the positions of a text.

    Windows that leave the text are left out, so that all depths have the same starts.

    Args:
        topology: no node has more children than the draws are for.
        draws: of text that the target wrote.

    Example:
        >>> half, ones = np.full((2, 1, 1), 0.5), np.ones((2, 1, 1))
        >>> draws = SlotDraws(half, ones, np.zeros(2, int), np.array([True, False]))
        >>> value_on_text(Topology(((0,), (0, 0))), draws).expected_length
        1.0
    """
    length = topology.depth
    starts = _starts(draws, length)
    values = np.zeros((len(starts), length))
    weights = np.zeros((length, len(draws.document)))
    for row, start in enumerate(starts):
        reached: dict[Slot, float] = {(): 1.0}
        for depth in range(length):
            place = start + depth
            below: dict[Slot, float] = {}
            for slot, weight in reached.items():
                children = topology.num_children(slot)
                if children:
                    values[row, depth] += weight * draws.by_slot[place, children - 1].sum()
                    weights[depth, place] += weight
                    shares = draws.of_text[place, children - 1, :children].tolist()
                    below |= {(*slot, k): weight * c for k, c in enumerate(shares) if c > 0.0}
            reached = below
    lengths = pl.Series(values.sum(axis=1))
    error = clustered_error(lengths, pl.Series(draws.document[starts]))
    by_depth = values.mean(axis=0)
    return TextValue(float(by_depth.sum()), error, by_depth, weights, len(starts))


def pooled(draws: SlotDraws) -> Floats:
    """Mean acceptance by slot, all positions alike, (B, B)."""
    return np.asarray(draws.by_slot.mean(axis=0))


def by_depth(draws: SlotDraws, value: TextValue) -> list[Floats]:
    """Mean acceptance by slot at each depth, positions weighted as windows come to them.

    Depths that no window comes to have what all positions have.
    """
    found = []
    for weights in value.weights:
        total = weights.sum()
        mean = (
            np.tensordot(weights, draws.by_slot, axes=1) / total if total > 0.0 else pooled(draws)
        )
        found.append(mean)
    return found


def _starts(draws: SlotDraws, length: int) -> NDArray[np.int64]:
    """Positions with `length` positions of one run from them on."""
    run = np.cumsum(draws.starts_run)
    last = np.arange(len(run)) + length - 1
    inside = last < len(run)
    return np.flatnonzero(inside & (run[np.minimum(last, len(run) - 1)] == run))
