"""Integrals behind Gumbel list sampling: competing exponential clocks shared by draft and target.

Stream k gives every token i a clock S_i ~ Exp(1); its draft is argmin S_i / q_i, and the output is
argmin over tokens and streams of S_i / p_i. Condition on the level l = S_Y / p_Y of the output: no
clock of any stream rings before p_i l, and streams become independent. With r_x = p_x / q_x and
g(u) = sum of max(p_i, u q_i), one stream

* drafts x and stays quiet until l with probability q_x Phi_x(l),
  Phi_x(l) = l * integral over u > r_x of exp(-l g(u));
* drafts j and rings j at l with density p_j exp(-l g(r_j));
* drafts x and rings j != x at l with density p_j q_x (Phi_x(l) - Phi_j(l)), where r_j > r_x.

g is piecewise linear with slope q(ratio <= u), so Phi is a suffix sum over the tokens by ratio. The
integral over l is smooth in ln l and decays doubly exponentially to the right, so the trapezoid
rule converges geometrically; 92 nodes leave about 1e-13 up to n = 128 (`level_nodes`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.vector_exp import vector_exp
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.rates.residual_mass import BLOCK
from mdbound.schemes.rates.sorted_residual import SortedResidual


class Levels(NamedTuple):
    """Nodes of the integral over l.

    Attributes:
        levels: l, ascending.
        weights: of each.
    """

    levels: FloatArray
    weights: FloatArray


NODES = 92
"""Nodes of the rule for one draft. A node costs a pass over the support; 80 would leave 4e-12."""

_LOWEST = -38.5
"""Least ln l. Nodes lie the closer the larger l is: of what is left out below, and of what wide
steps there miss, exp(-33) is left. Higher values lose digits, lower ones need more nodes."""

_LARGEST_LEVEL = 45.0
"""Largest l of one stream: exp(-45) = 3e-20, no stream is quiet that long. Higher adds nodes."""


@kernel
def total_rates(row: SortedResidual) -> FloatArray:
    """g(r) at the ratio r of each of the S sorted tokens: at least 1, nondecreasing.

    Example:
        >>> from mdbound.schemes.rates.sorted_residual import sort_residual
        >>> row = sort_residual(np.array([0.5, 0.5]), np.array([0.25, 0.75]))
        >>> total_rates(row).round(6).tolist()
        [1.0, 2.0]
    """
    return row.p_after[1:] + row.ratio * row.q_before[1:]


def level_nodes(smallest_count: int, largest_rate: float = 1.0) -> Levels:
    """Nodes of the rule, as levels l, with their weights.

    A trapezoid sum in s, with ln l = lowest + sqrt(s): steps of ln l grow to the left as fast as
    what they weigh falls, so that every node adds about the same error.

    Args:
        smallest_count: fewest drafts: as many streams are all quiet for so long at most.
        largest_rate: g at the token that rings most often: for levels as much lower.
    """
    lowest = _LOWEST - np.log(largest_rate)
    span = np.log(_LARGEST_LEVEL / smallest_count) - lowest
    longest = np.log(_LARGEST_LEVEL) - _LOWEST
    step = longest**2 / NODES
    s = np.arange(step, span**2 + step, step)
    levels = np.exp(lowest + np.sqrt(s))
    return Levels(levels, step * levels / (2.0 * np.sqrt(s)))


# Long: groups of eight are written out, so that their sums run side by side.
@kernel(fastmath={"contract"})
def _ring_block(
    g: FloatArray,
    q: FloatArray,
    q_inverse: FloatArray,
    l: float,
    later: float,
    phi: float,
    ringing: FloatArray,
    other: FloatArray,
) -> float:
    # Of a block of ranks: ringing = exp(-l g), other = exp(-l) - q Phi(l). Takes ringing and Phi
    # behind the block, 0 at the end, and returns Phi at its start.
    count = len(g)
    for i in range(count):
        ringing[i] = vector_exp(-l * g[i])
    ringing[count] = later
    for i in range(count):
        other[i] = (ringing[i] - ringing[i + 1]) * q_inverse[i]
    quiet = np.exp(-l)
    end = count
    while end >= 8:
        b = end - 8
        s7 = other[b + 7]
        s6 = other[b + 6] + s7
        s5 = other[b + 5] + s6
        s4 = other[b + 4] + s5
        s3 = other[b + 3]
        s2 = other[b + 2] + s3
        s1 = other[b + 1] + s2
        s0 = other[b] + s1
        half = phi + s4
        other[b + 7] = quiet - q[b + 7] * (phi + s7)
        other[b + 6] = quiet - q[b + 6] * (phi + s6)
        other[b + 5] = quiet - q[b + 5] * (phi + s5)
        other[b + 4] = quiet - q[b + 4] * half
        other[b + 3] = quiet - q[b + 3] * (half + s3)
        other[b + 2] = quiet - q[b + 2] * (half + s2)
        other[b + 1] = quiet - q[b + 1] * (half + s1)
        phi += s4 + s0
        other[b] = quiet - q[b] * phi
        end = b
    for i in range(end - 1, -1, -1):
        phi += other[i]
        other[i] = quiet - q[i] * phi
    return phi


@kernel(fastmath={"reassoc", "nsz", "contract"})
def _add_missed(
    p: FloatArray,
    ringing: FloatArray,
    other: FloatArray,
    quiet: float,
    product: FloatArray,
    missed: FloatArray,
) -> None:
    # missed[n - 1] += sum over a block of p (exp(-l) - exp(-l g)) (exp(-l) - q Phi)^(n-1).
    count = len(p)
    for i in range(count):
        product[i] = p[i] * (quiet - ringing[i])
    for n in range(len(missed)):
        total = 0.0
        for i in range(count):
            total += product[i]
            product[i] *= other[i]
        missed[n] += total


@kernel
def _missed_at(
    row: SortedResidual, g: FloatArray, q_inverse: FloatArray, first: int, l: float, most: int
) -> FloatArray:
    # Block by block from the last rank, so that what is made of a block is used while it is near.
    missed = np.zeros(most)
    ringing, other, product = np.empty(BLOCK + 1), np.empty(BLOCK), np.empty(BLOCK)
    quiet = np.exp(-l)
    later, phi = 0.0, 0.0
    stop = len(g)
    while stop > first:
        start = max(first, stop - BLOCK)
        part = slice(start, stop)
        phi = _ring_block(g[part], row.q[part], q_inverse[part], l, later, phi, ringing, other)
        _add_missed(row.p[part], ringing, other, quiet, product, missed)
        later = ringing[0]
        stop = start
    return missed


@kernel
def list_acceptance(row: SortedResidual, counts: IntArray, levels: Levels) -> FloatArray:
    """P(output is drafted) for each number of drafts, in O(S) per node.

    For token j it is n p_j times the integral of
    exp(-n l) - (exp(-l) - exp(-l g_j)) (exp(-l) - q_j Phi_j(l))^(n-1).

    Example:
        >>> from mdbound.schemes.rates.sorted_residual import sort_residual
        >>> row = sort_residual(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
        >>> list_acceptance(row, np.array([1, 2]), level_nodes(1)).round(12).tolist()
        [1.0, 1.0]
    """
    g = total_rates(row)
    size = len(g)
    first = int(np.searchsorted(row.ratio, 0.0, side="right"))  # p = 0 before it: never the output
    mass = row.p_before[size]
    most = counts.max()
    hits = np.zeros(most)
    if first == size:
        return np.zeros(len(counts))
    q_inverse = 1.0 / row.q_before[1:]
    for node in range(len(levels.levels)):
        l = levels.levels[node]
        missed = _missed_at(row, g, q_inverse, first, l, most)
        quiet = np.exp(-l)
        for n in range(most):
            hits[n] += (n + 1) * levels.weights[node] * (mass * quiet ** (n + 1) - missed[n])
    return hits[counts - 1]


@kernel
def quiet_probabilities(row: SortedResidual, ranks: IntArray, levels: FloatArray) -> FloatArray:
    """Phi at the given ranks: shape (levels, ranks).

    Example:
        >>> from mdbound.schemes.rates.sorted_residual import sort_residual
        >>> row = sort_residual(np.array([1.0]), np.array([1.0]))
        >>> quiet_probabilities(row, np.array([0]), np.array([1.0])).round(6).tolist()
        [[0.367879]]
    """
    g = total_rates(row)
    phi = np.zeros((len(levels), len(ranks)))
    for i in range(len(levels)):
        running = 0.0
        later = 0.0
        for j in range(len(g) - 1, -1, -1):
            now = np.exp(-levels[i] * g[j])
            running += (now - later) / row.q_before[j + 1]
            later = now
            for k in range(len(ranks)):
                if ranks[k] == j:
                    phi[i, k] = running
    return phi
