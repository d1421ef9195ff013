"""Sums over nodes that `fluid_arrivals` needs: C / W of its equation (1).

For up to `KERNEL_DRAFTS` drafts everything at one node is straight-line code, which runs on vectors
of nodes; above that plain loops do the same.
"""

from __future__ import annotations

from mdbound.bounds.laws.without_replacement.ring_law import SCALED
from mdbound.bounds.numerics.clock_quadrature import NUM_POWERS
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray

DECAY, POINTS = 0, 1
"""Rows of `fluid_arrivals.ArrivalScratch.rows`."""


@kernel(fastmath={"contract"})
def add_nodes(
    newton: FloatArray,
    grid: FloatArray,
    rows: FloatArray,
    heavy: FloatArray,
    count: int,
    later: FloatArray,
) -> None:
    """Add the first nodes to C / W, for any N.

    Args:
        newton: as in `ArrivalScratch`.
        grid: `RingNodes.grid`.
        rows: as in `ArrivalScratch`.
        heavy: P(N_t = m) of the heavy clocks, shape (N, J or more).
        count: nodes.
        later: as in `ArrivalScratch`, updated.
    """
    max_drafts = len(heavy)
    light = rows[2 + max_drafts : 2 + 2 * max_drafts]
    below = rows[2 + 2 * max_drafts :]
    _light_law(newton, grid[SCALED], rows[2 : 2 + max_drafts], count, light)
    for j in range(count):
        below[0, j] = heavy[0, j]
    for m in range(1, max_drafts):
        for j in range(count):
            below[m, j] = below[m - 1, j]
        for k in range(m + 1):
            for j in range(count):
                below[m, j] += heavy[k, j] * light[m - k, j]
    for k in range(max_drafts):
        for j in range(count):
            rows[DECAY, j] *= rows[POINTS, j] / k if k > 0 else 1.0
        for m in range(max_drafts - k):
            total = 0.0
            for j in range(count):
                total += rows[DECAY, j] * below[m, j]
            later[k, m + 1] += total


@kernel(fastmath={"contract"})
def _light_law(
    newton: FloatArray, scaled: FloatArray, terms: FloatArray, count: int, light: FloatArray
) -> None:
    """Newton's identities: the light clocks that rang, up to the factor in `DECAY`."""
    for k in range(1, len(light)):
        for j in range(count):
            terms[k, j] = 0.0
        for r in range(NUM_POWERS, 0, -1):
            coefficient = newton[k, r] if r >= k else 0.0
            for j in range(count):
                terms[k, j] = terms[k, j] * scaled[j] + coefficient
        for j in range(count):
            terms[k, j] *= scaled[j]
    light[0, :count] = 1.0
    for m in range(1, len(light)):
        light[m, :count] = 0.0
        for k in range(1, m + 1):
            for j in range(count):
                light[m, j] += terms[k, j] * light[m - k, j] / m


@kernel(fastmath={"contract"})
def put_terms(
    newton: FloatArray, scaled: FloatArray, powers: int, start: int, stop: int, terms: FloatArray
) -> None:
    """Write polynomials 1 to 7 at some of the nodes, up to x^powers, a multiple of 4."""
    x = scaled[start:stop]
    for k in range(1, len(terms)):
        term = terms[k, start:stop]
        for j in range(len(x)):
            term[j] = 0.0
        for r in range(powers, 0, -4):
            # Four steps of Horner's rule for one load and one store.
            c3, c2, c1, c0 = newton[k, r], newton[k, r - 1], newton[k, r - 2], newton[k, r - 3]
            for j in range(len(x)):
                term[j] = (((term[j] * x[j] + c3) * x[j] + c2) * x[j] + c1) * x[j] + c0
        for j in range(len(x)):
            term[j] *= x[j]


@kernel(fastmath={"reassoc", "contract"})
def add_nodes_at_once(  # noqa: PLR0915, unrolled for vectors
    terms: FloatArray,
    rows: FloatArray,
    heavy: FloatArray,
    start: int,
    stop: int,
    later: FloatArray,
) -> None:
    """Add nodes to C / W, for `KERNEL_DRAFTS` drafts: `add_nodes` as straight-line code.

    Without it the search without replacement takes 1.17 (flat rows), 1.38 (realistic) and 1.38
    (peaked) times as long at V = 32,000.

    Args:
        terms: e_m of the light clocks at the nodes, as `_light_law` sums them.
        rows: as in `ArrivalScratch`.
        heavy: P(N_t = m) of the heavy clocks, shape (N, J or more).
        start: first node.
        stop: the node behind the last.
        later: as in `ArrivalScratch`, updated.
    """
    c01 = c02 = c03 = c04 = c05 = c06 = c07 = c08 = 0.0
    c11 = c12 = c13 = c14 = c15 = c16 = c17 = 0.0
    c21 = c22 = c23 = c24 = c25 = c26 = 0.0
    c31 = c32 = c33 = c34 = c35 = 0.0
    c41 = c42 = c43 = c44 = 0.0
    c51 = c52 = c53 = 0.0
    c61 = c62 = 0.0
    c71 = 0.0
    for node in range(start, stop):
        e1 = terms[1, node]
        e2 = terms[2, node]
        e3 = terms[3, node]
        e4 = terms[4, node]
        e5 = terms[5, node]
        e6 = terms[6, node]
        e7 = terms[7, node]
        # Newton's identities: the light clocks that rang, up to the factor in `decay`.
        a1 = e1
        a2 = (e1 * a1 + e2) * 0.5
        a3 = (e1 * a2 + e2 * a1 + e3) * (1.0 / 3.0)
        a4 = (e1 * a3 + e2 * a2 + e3 * a1 + e4) * 0.25
        a5 = (e1 * a4 + e2 * a3 + e3 * a2 + e4 * a1 + e5) * 0.2
        a6 = (e1 * a5 + e2 * a4 + e3 * a3 + e4 * a2 + e5 * a1 + e6) * (1.0 / 6.0)
        a7 = (e1 * a6 + e2 * a5 + e3 * a4 + e4 * a3 + e5 * a2 + e6 * a1 + e7) * (1.0 / 7.0)
        # With the heavy ones: fewer than 1, 2, ... rang.
        h0, h1, h2, h3 = heavy[0, node], heavy[1, node], heavy[2, node], heavy[3, node]
        h4, h5, h6, h7 = heavy[4, node], heavy[5, node], heavy[6, node], heavy[7, node]
        b1 = h0
        b2 = b1 + (h0 * a1 + h1)
        b3 = b2 + (h0 * a2 + h1 * a1 + h2)
        b4 = b3 + (h0 * a3 + h1 * a2 + h2 * a1 + h3)
        b5 = b4 + (h0 * a4 + h1 * a3 + h2 * a2 + h3 * a1 + h4)
        b6 = b5 + (h0 * a5 + h1 * a4 + h2 * a3 + h3 * a2 + h4 * a1 + h5)
        b7 = b6 + (h0 * a6 + h1 * a5 + h2 * a4 + h3 * a3 + h4 * a2 + h5 * a1 + h6)
        b8 = b7 + (h0 * a7 + h1 * a6 + h2 * a5 + h3 * a4 + h4 * a3 + h5 * a2 + h6 * a1 + h7)
        d, t = rows[DECAY, node], rows[POINTS, node]
        c01 += d * b1
        c02 += d * b2
        c03 += d * b3
        c04 += d * b4
        c05 += d * b5
        c06 += d * b6
        c07 += d * b7
        c08 += d * b8
        d *= t
        c11 += d * b1
        c12 += d * b2
        c13 += d * b3
        c14 += d * b4
        c15 += d * b5
        c16 += d * b6
        c17 += d * b7
        d *= t * 0.5
        c21 += d * b1
        c22 += d * b2
        c23 += d * b3
        c24 += d * b4
        c25 += d * b5
        c26 += d * b6
        d *= t * (1.0 / 3.0)
        c31 += d * b1
        c32 += d * b2
        c33 += d * b3
        c34 += d * b4
        c35 += d * b5
        d *= t * 0.25
        c41 += d * b1
        c42 += d * b2
        c43 += d * b3
        c44 += d * b4
        d *= t * 0.2
        c51 += d * b1
        c52 += d * b2
        c53 += d * b3
        d *= t * (1.0 / 6.0)
        c61 += d * b1
        c62 += d * b2
        d *= t * (1.0 / 7.0)
        c71 += d * b1
    later[0, 1] += c01
    later[0, 2] += c02
    later[0, 3] += c03
    later[0, 4] += c04
    later[0, 5] += c05
    later[0, 6] += c06
    later[0, 7] += c07
    later[0, 8] += c08
    later[1, 1] += c11
    later[1, 2] += c12
    later[1, 3] += c13
    later[1, 4] += c14
    later[1, 5] += c15
    later[1, 6] += c16
    later[1, 7] += c17
    later[2, 1] += c21
    later[2, 2] += c22
    later[2, 3] += c23
    later[2, 4] += c24
    later[2, 5] += c25
    later[2, 6] += c26
    later[3, 1] += c31
    later[3, 2] += c32
    later[3, 3] += c33
    later[3, 4] += c34
    later[3, 5] += c35
    later[4, 1] += c41
    later[4, 2] += c42
    later[4, 3] += c43
    later[4, 4] += c44
    later[5, 1] += c51
    later[5, 2] += c52
    later[5, 3] += c53
    later[6, 1] += c61
    later[6, 2] += c62
    later[7, 1] += c71
