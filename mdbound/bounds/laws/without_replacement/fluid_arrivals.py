"""F_n of a prefix, its slope, and how it grows from there: fluid arrivals among the first n.

The proof of what follows is section 8.5 of docs/theory.md.

Beside the clocks of H let a fluid of rate W = 1 - q(H) arrive in points of a Poisson process. With
T_k the time of its (k + 1)-th point and N_t the clocks of H that rang by t,

    C[k, j] = P(N at T_k < j) = integral of W e^(-W t) (W t)^k / k! P(N_t < j) dt,         (1)

and 1 - F_n(H) = C[0, n]. More than k of the first n arrivals (clocks of H, points of the fluid) are
fluid exactly if fewer than n - k clocks rang by T_k. So exactly m are with probability

    share_m = C[m - 1, n - m + 1] - C[m, n - m],            share_0 = F_n(H).

A point belongs to a part u of the fluid with probability u / W. So adding this part to H as a
fluid takes F_n to the sum over m of share_m (u / W)^m, a polynomial whose derivative at 0 is
share_1 / W. Adding tokens of total rate u instead gives at most that much: their clocks ring at
the first points of their parts of the fluid, so the first n arrivals without repeats include the
first n with repeats, and when the former lie in H and the tokens the latter do, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.laws.without_replacement.fluid_nodes import (
    DECAY,
    POINTS,
    add_nodes,
    add_nodes_at_once,
    put_terms,
)
from mdbound.bounds.laws.without_replacement.ring_law import (
    NODES,
    SCALED,
    TIMES,
    WEIGHTS,
    RingNodes,
)
from mdbound.bounds.numerics.clock_quadrature import FAINT_POWERS, KERNEL_DRAFTS, NUM_POWERS
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.vector_exp import vector_exp
from mdbound.bounds.problem.array_types import FloatArray

_LAST_NODES = 16  # where light tokens are not faint
_GONE = 40.0  # e^-40 = 4e-18


class ArrivalScratch(NamedTuple):
    """Scratch arrays of one thread.

    Attributes:
        newton: signed coefficients of the power sums of e^x - 1, shape (N, NUM_POWERS + 1).
        later: C / W of equation (1), shape (N, N + 1).
        rows: by node. `DECAY`: weight times the chance that neither fluid nor light clock rang;
            `POINTS`: W t; for the plain loops 3 N more, shape (2 or 2 + 3 N, J).
        cuts: for `cuts.cut_cells`.
    """

    newton: FloatArray
    later: FloatArray
    rows: FloatArray
    cuts: FloatArray


@kernel
def arrival_scratch(max_drafts: int, nodes: int) -> ArrivalScratch:
    """Scratch for so many drafts and nodes.

    Example:
        >>> arrival_scratch(8, 48).later.shape
        (8, 9)
    """
    plain = 3 * max_drafts if max_drafts != KERNEL_DRAFTS else KERNEL_DRAFTS
    return ArrivalScratch(
        np.zeros((max_drafts, NUM_POWERS + 1)),
        np.zeros((max_drafts, max_drafts + 1)),
        np.empty((2 + plain, nodes)),
        np.empty((3, 256)),
    )


# Long: equation (1) of the module, term by term, in the order of its proof.
@kernel
def arrival_shares(
    nodes: RingNodes,
    law: FloatArray,
    sums: FloatArray,
    outside: float,
    scratch: ArrivalScratch,
    shares: FloatArray,
    slope: FloatArray,
) -> None:
    """Write share_m of the module's head and the slope of F_n for n = 1..N.

    The slope is the increase of F_n per unit of draft mass for a further token of vanishing mass,
    the integral of e^(-W t) (P(N_t < n) - W t P(N_t < n - 1)), which is share_1 / W. By
    q-convexity no token of H had a larger slope when it was added, and none added later has a
    smaller one.

    Args:
        nodes: the row's nodes.
        law: P(N_t = m) of the heavy clocks of H, shape (N, J).
        sums: power sums of the light ones.
        outside: W.
        scratch: scratch.
        shares: written at [n, m], m <= n, shape (N + 1, N + 1).
        slope: written, shape (N + 1,).

    Example:
        >>> from mdbound.bounds.numerics.clock_quadrature import clock_quadrature
        >>> from mdbound.bounds.laws.without_replacement.ring_law import ring_nodes
        >>> nodes = ring_nodes(clock_quadrature(8), np.full(1000, 1e-3))
        >>> law, sums, shares = np.zeros((8, 48)), np.zeros(NUM_POWERS + 1), np.empty((9, 9))
        >>> slope = np.empty(9)
        >>> law[0] = 1.0
        >>> arrival_shares(nodes, law, sums, 1.0, arrival_scratch(8, 48), shares, slope)
        >>> float(round(shares[2, 2], 12))  # no clock in H: all arrivals are fluid
        1.0
    """
    max_drafts = len(law)
    grid, series, newton = nodes.grid, nodes.series, scratch.newton
    later, rows = scratch.later, scratch.rows
    last = grid.shape[1]
    count = last
    while count > NODES and outside * grid[TIMES, count - NODES] > _GONE:
        count -= NODES
    # (-1)^(k-1) times the power sums of e^x - 1, as polynomials in t / (last t).
    sign = 1.0
    for k in range(1, max_drafts):
        for r in range(k, NUM_POWERS + 1):
            newton[k, r] = sign * series[k, r] * sums[r]
        sign = -sign
    _decays(grid, outside, sums[1], count, rows)
    later[:] = 0.0
    if max_drafts == KERNEL_DRAFTS:
        # The nodes are at least e^0.16 apart, so before the last sixteen every x is at most a
        # thirteenth of its largest: light tokens are faint there.
        early = min(count, last - _LAST_NODES)
        terms = rows[2:]
        put_terms(newton, grid[SCALED], FAINT_POWERS, 0, early, terms)
        put_terms(newton, grid[SCALED], NUM_POWERS, early, count, terms)
        add_nodes_at_once(terms, rows, law, 0, count, later)
    else:
        add_nodes(newton, grid, rows, law, count, later)
    for j in range(1, max_drafts + 1):
        later[0, j] += nodes.early - outside * nodes.early_time
        later[1, j] += outside * nodes.early_time
    slope[1] = 1.0
    shares[1, 0], shares[1, 1] = 1.0 - outside, outside
    for n in range(2, max_drafts + 1):
        slope[n] = later[0, n] - later[1, n - 1]
        shares[n, 0] = 1.0 - outside * later[0, n]
        for m in range(1, n):
            shares[n, m] = outside * (later[m - 1, n - m + 1] - later[m, n - m])
        shares[n, n] = outside * later[n - 1, 1]


@kernel(fastmath={"contract"})
def _decays(grid: FloatArray, outside: float, mean: float, count: int, rows: FloatArray) -> None:
    for j in range(count):
        points = outside * grid[TIMES, j]
        rows[POINTS, j] = points
        rows[DECAY, j] = grid[WEIGHTS, j] * vector_exp(-(points + mean * grid[SCALED, j]))
