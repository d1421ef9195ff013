"""Sums over nodes that `fluid_arrivals` needs: C / W of its equation (1).

For up to `KERNEL_DRAFTS` drafts everything at one node is straight-line code, which runs on vectors
of nodes; above that plain loops do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from numba import njit

from mdbound.bounds.laws.without_replacement.ring_law import SCALED
from mdbound.bounds.numerics.clock_quadrature import NUM_POWERS
from mdbound.bounds.problem.array_types import FloatArray

AddNodes: TypeAlias = Callable[
    [FloatArray, FloatArray, FloatArray, FloatArray, int, int, FloatArray], None
]
"""Takes the arguments of `add_nodes`, with the first node and the one after the last."""

DECAY, POINTS = 0, 1
"""Rows of `fluid_arrivals.ArrivalSpace.rows`."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
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
        newton: as in `ArrivalSpace`.
        grid: `RingNodes.grid`.
        rows: as in `ArrivalSpace`.
        heavy: P(N_t = m) of the heavy clocks, shape (N, J or more).
        count: nodes.
        later: as in `ArrivalSpace`, updated.
    """
    max_drafts = len(heavy)
    light = rows[2 + max_drafts : 2 + 2 * max_drafts]
    below = rows[2 + 2 * max_drafts :]
    _light_law(newton, grid[SCALED], rows[2 : 2 + max_drafts], count, light)
    below[0, :count] = heavy[0, :count]
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


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
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


@njit(inline="always")
def _four(value: float, newton: FloatArray, k: int, r: int, x: float) -> float:
    """Four steps of Horner's rule, from coefficient r downwards."""
    value = (value * x + newton[k, r]) * x + newton[k, r - 1]
    return float((value * x + newton[k, r - 2]) * x + newton[k, r - 3])


@njit(inline="always")
def _short(newton: FloatArray, k: int, x: float) -> float:
    """Polynomial k up to x^12."""
    value = _four(0.0, newton, k, 12, x)
    value = _four(value, newton, k, 8, x)
    return x * _four(value, newton, k, 4, x)


@njit(inline="always")
def _long(newton: FloatArray, k: int, x: float) -> float:
    """Polynomial k up to x^24."""
    value = _four(0.0, newton, k, 24, x)
    value = _four(value, newton, k, 20, x)
    value = _four(value, newton, k, 16, x)
    value = _four(value, newton, k, 12, x)
    value = _four(value, newton, k, 8, x)
    return x * _four(value, newton, k, 4, x)


def _unrolled(  # noqa: PLR0915, unrolled for vectors
    polynomial: Callable[[FloatArray, int, float], float],
) -> AddNodes:
    """`add_nodes` for N = 8 and some of the nodes, with this polynomial.

    At one node a_m says how many light clocks rang, by Newton's identities, up to the chance that
    none did; b_j, with the heavy ones h_m, whether fewer than j rang. `DECAY` brings that chance,
    the weight and e^(-W t), and d gains (W t)^k / k!. So c_kj, the sum of d b_j over the nodes, is
    their part of C[k, j] / W.
    """

    @njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
    def add_unrolled(  # noqa: PLR0915, unrolled for vectors
        newton: FloatArray,
        grid: FloatArray,
        rows: FloatArray,
        heavy: FloatArray,
        start: int,
        stop: int,
        later: FloatArray,
    ) -> None:
        c01 = c02 = c03 = c04 = c05 = c06 = c07 = c08 = 0.0
        c11 = c12 = c13 = c14 = c15 = c16 = c17 = 0.0
        c21 = c22 = c23 = c24 = c25 = c26 = 0.0
        c31 = c32 = c33 = c34 = c35 = 0.0
        c41 = c42 = c43 = c44 = 0.0
        c51 = c52 = c53 = 0.0
        c61 = c62 = 0.0
        c71 = 0.0
        for node in range(start, stop):
            x = grid[SCALED, node]
            e1 = polynomial(newton, 1, x)
            e2 = polynomial(newton, 2, x)
            e3 = polynomial(newton, 3, x)
            e4 = polynomial(newton, 4, x)
            e5 = polynomial(newton, 5, x)
            e6 = polynomial(newton, 6, x)
            e7 = polynomial(newton, 7, x)
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

    return cast(AddNodes, add_unrolled)


add_nodes_short = _unrolled(_short)
"""Nodes so early that 12 power sums are enough."""

add_nodes_long = _unrolled(_long)
"""The other nodes."""
