"""Blocks of the canonical decomposition: pieces of the ratio order on which p_I is s times p.

With tokens sorted by q/p descending, P_k and F_k the target mass and the containment of the first
k, the blocks are the linear pieces of the least concave majorant of the points (P_k, F_k), and s
their slopes. A draft law has them if the sets that maximise F - s p are prefixes of one order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mdbound.bounds.canonical.concave_majorant import concave_majorant
from mdbound.bounds.canonical.prefix_increments import (
    with_replacement_increments,
    without_replacement_increments,
)
from mdbound.bounds.numerics.ratio_order import ratio_order
from mdbound.bounds.numerics.summation import prefix_sums
from mdbound.bounds.problem.array_types import FloatArray, IntArray


@dataclass(frozen=True)
class Blocks:
    """Tokens in sort order, cut into blocks of constant p_I / p.

    Attributes:
        order: ids of the tokens that can be drafted, by q/p descending, shape (m,).
        starts: where each block begins in `order`, followed by m.
        slopes: p_I / p of each block, non-increasing; inf where p is 0.
    """

    order: IntArray
    starts: IntArray
    slopes: FloatArray


BlocksOf = Callable[[FloatArray, FloatArray, int], tuple[Blocks, FloatArray]]
"""From p and q, shape (V,), and n to the blocks and to p_I, shape (V,)."""


def with_replacement_blocks(
    p: FloatArray, q: FloatArray, num_drafts: int
) -> tuple[Blocks, FloatArray]:
    """Blocks and p_I under i.i.d. draws; of the type `BlocksOf`."""
    return _prefix_blocks(p, q, num_drafts, with_replacement_increments)


def without_replacement_blocks(
    p: FloatArray, q: FloatArray, num_drafts: int
) -> tuple[Blocks, FloatArray]:
    """Blocks and p_I under draws without replacement; of the type `BlocksOf`."""
    return _prefix_blocks(p, q, num_drafts, without_replacement_increments)


def _prefix_blocks(
    p: FloatArray,
    q: FloatArray,
    num_drafts: int,
    increments: Callable[[FloatArray, int], FloatArray],
) -> tuple[Blocks, FloatArray]:
    # Tied tokens always share a block, so their order is free and the fastest sort will do.
    support = np.flatnonzero(q)
    with np.errstate(over="ignore"):  # of a denormal draft mass: last, whatever the target
        order = support[np.argsort(p[support] / q[support])]
    heights = increments(q[order], num_drafts)
    starts, slopes = concave_majorant(p[order], heights)
    selected = np.zeros_like(p)
    selected[order] = _proportional(p[order], heights, starts, slopes)
    return Blocks(order, starts, slopes), selected


def greedy_blocks(p: FloatArray, q: FloatArray, num_drafts: int) -> tuple[Blocks, FloatArray]:
    """The first block holds the certain drafts and the likeliest draws; every other is a token.

    F(H) = h(H) if H holds the certain drafts and 0 otherwise, h the law of the one draw. So the
    chain's first step adds the certain drafts together with the first token of the rest.
    """
    selected = np.zeros_like(p)
    # Not the solver's selection, on purpose: p_I is held against its optimum.
    top = np.argsort(-q, kind="stable")[: num_drafts - 1]
    top = top[q[top] > 0.0]
    drawn = q.copy()
    drawn[top] = 0.0
    rest = ratio_order(p, drawn)
    order = np.concatenate([top, rest])
    top_mass = float(prefix_sums(p[top])[-1])
    if len(rest) == 0:
        slope = np.divide(1.0, top_mass) if top_mass > 0.0 else np.inf
        selected[top] = slope * p[top] if top_mass > 0.0 else np.eye(1, len(top))[0]
        return Blocks(order, np.array([0, len(order)]), np.array([slope])), selected
    heights = drawn[rest] / prefix_sums(drawn[rest])[-1]
    widths = p[rest].copy()
    widths[0] += top_mass
    # A token of p = 0 behind a first step of positive width belongs to that step.
    starts, slopes = concave_majorant(widths, heights)
    selected[rest] = _proportional(p[rest], heights, starts, slopes)
    if np.isfinite(slopes[0]):
        selected[top] = slopes[0] * p[top]
    starts[1:] += len(top)
    return Blocks(order, starts, slopes), selected


def _proportional(
    p: FloatArray, heights: FloatArray, starts: IntArray, slopes: FloatArray
) -> FloatArray:
    """p_I in sort order: slope times p, and where p is 0 the increment of containment itself."""
    slope = np.repeat(slopes, np.diff(starts))
    certain = ~np.isfinite(slope)
    slope[certain] = 0.0
    return np.where(certain, heights, slope * p)
