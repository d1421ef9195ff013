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
rule converges geometrically: `STEP` leaves about 1e-13 up to n = 128 (0.3 leaves 1e-12).
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.vector_exp import vector_exp
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.rates.residual_mass import BLOCK
from mdbound.schemes.rates.sorted_residual import SortedResidual

STEP = 0.25
"""Of the nodes in ln l: a node costs a pass over the support, a wider step digits (see above)."""
_LOWEST = -35.0
"""Least ln l: exp(-35) = 6e-16, so that what lies below is one ulp. Lower adds nodes, no digits."""
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


def level_nodes(smallest_count: int, largest_rate: float = 1.0) -> FloatArray:
    """Nodes of the trapezoid rule in ln l, as levels l; a node's weight is `STEP * l`."""
    top = np.log(_LARGEST_LEVEL / smallest_count)
    bottom = _LOWEST - np.log(largest_rate)
    return np.asarray(np.exp(np.arange(bottom, top + STEP, STEP)))


@kernel(fastmath={"contract"})
def _quiet_and_undrafted(
    row: SortedResidual, g: FloatArray, first: int, l: float, ringing: FloatArray, other: FloatArray
) -> None:
    # From rank `first` on: ringing = exp(-l g), other = exp(-l) - q Phi(l).
    size = len(g)
    for j in range(first, size):
        ringing[j] = vector_exp(-l * g[j])
    for j in range(first, size - 1):
        other[j] = (ringing[j] - ringing[j + 1]) / row.q_before[j + 1]
    other[size - 1] = ringing[size - 1] / row.q_before[size]
    quiet = np.exp(-l)
    phi = 0.0
    for j in range(size - 1, first - 1, -1):
        phi += other[j]
        other[j] = quiet - row.q[j] * phi


@kernel(fastmath={"reassoc", "nsz", "contract"})
def _add_missed(
    p: FloatArray,
    ringing: FloatArray,
    other: FloatArray,
    quiet: float,
    start: int,
    stop: int,
    missed: FloatArray,
) -> None:
    # missed[n - 1] += sum over a block of p (exp(-l) - exp(-l g)) (exp(-l) - q Phi)^(n-1).
    product = np.empty(BLOCK)
    for i in range(stop - start):
        product[i] = p[start + i] * (quiet - ringing[start + i])
    for n in range(len(missed)):
        total = 0.0
        for i in range(stop - start):
            total += product[i]
            product[i] *= other[start + i]
        missed[n] += total


@kernel
def list_acceptance(row: SortedResidual, counts: IntArray, levels: FloatArray) -> FloatArray:
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
    ringing, other = np.empty(size), np.empty(size)
    if first == size:
        return np.zeros(len(counts))
    for l in levels:
        _quiet_and_undrafted(row, g, first, l, ringing, other)
        quiet = np.exp(-l)
        missed = np.zeros(most)
        for start in range(first, size, BLOCK):
            stop = min(start + BLOCK, size)
            _add_missed(row.p, ringing, other, quiet, start, stop, missed)
        for n in range(most):
            hits[n] += (n + 1) * l * (mass * quiet ** (n + 1) - missed[n])
    return STEP * hits[counts - 1]


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
