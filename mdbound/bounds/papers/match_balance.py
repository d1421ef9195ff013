"""How a match of contenders is balanced: winner laws as even as the pairs' masses allow.

Each pair of tokens has a mass to be split between the two, and the winner's law is what a token has
for certain and its shares. The laws form a base polytope, on which one point minimises every sum of
p phi(winner / p) with convex phi, and so maximises the acceptance sum of min(p, winner) too.
Weak duality with the sets H of tokens bounds how far a split is from that.
"""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray

SETTLED = 2.0**-53
"""Sweeps stop when no pair moves more mass than this, the rounding of the laws themselves. More
would save the last sweeps and leave the winner's law less exact."""


@kernel
def balance(
    p: FloatArray, fixed: FloatArray, capacity: FloatArray, max_sweeps: int
) -> tuple[FloatArray, float]:
    """Split each pair's mass between its two tokens so that winner / p is as even as possible.

    Exact minimisation over one pair at a time of sum of winner^2 / p, each pair boxed in
    [0, capacity]: a convex problem with separable constraints, so sweeps converge. Returns
    flow[a, b] (what a receives from the pair {a, b}) and the duality gap of the linear program.
    """
    s = len(p)
    flow = np.zeros((s, s))
    winner = fixed.copy()
    for a in range(s):
        for b in range(a + 1, s):
            flow[a, b] = capacity[a, b]
            winner[a] += capacity[a, b]
    for _ in range(max_sweeps):
        moved = 0.0
        for a in range(s):
            for b in range(a + 1, s):
                c = capacity[a, b]
                weight = p[a] + p[b]
                if c <= 0.0 or weight <= 0.0:
                    continue
                # Both tokens' winner law without this pair, then the even split of the pair.
                step = (p[a] * winner[b] - p[b] * winner[a]) / weight
                new = min(max(flow[a, b] + step, 0.0), c)
                step = new - flow[a, b]
                winner[a] += step
                winner[b] -= step
                flow[a, b] = new
                flow[b, a] = c - new
                moved = max(moved, abs(step))
        if moved <= SETTLED:
            break
    for a in range(s):
        winner[a] = fixed[a] + flow[a].sum()
    return flow, _duality_gap(p, winner, flow)


@kernel
def along_paths(p: FloatArray, fixed: FloatArray, flow: FloatArray) -> tuple[FloatArray, float]:
    """Even out pairs of tokens by what can pass from one to the other through other pairs.

    A token can hand on what it receives from a pair, so that mass passes along a path of pairs as
    wide as its narrowest. From the token of larger winner / p to the other, as in `balance`.
    """
    s = len(p)
    flow = flow.copy()
    for a in range(s):
        for b in range(s):
            if a == b or p[a] + p[b] <= 0.0:
                continue
            mine, other = fixed[a] + flow[a].sum(), fixed[b] + flow[b].sum()
            wanted = (p[b] * mine - p[a] * other) / (p[a] + p[b])
            if wanted <= SETTLED:
                continue
            before, width = _widest_path(flow, a, b)
            step = min(wanted, width)
            if step <= 0.0:
                continue
            token = b
            while token != a:
                giver = before[token]
                flow[giver, token] -= step
                flow[token, giver] += step
                token = giver
    winner = fixed.copy()
    for a in range(s):
        winner[a] += flow[a].sum()
    return flow, _duality_gap(p, winner, flow)


@kernel
def _widest_path(flow: FloatArray, start: int, end: int) -> tuple[IntArray, float]:
    """The path of pairs along which most can pass: the token before each, and the width at the end.

    flow[a, b] is what a receives from the pair {a, b}, and can hand to b.
    """
    s = len(flow)
    width = np.zeros(s)
    width[start] = np.inf
    before = np.full(s, -1)
    done = np.zeros(s, dtype=np.bool_)
    for _ in range(s):
        widest = -1
        for token in range(s):
            if not done[token] and (widest < 0 or width[token] > width[widest]):
                widest = token
        if widest < 0 or width[widest] <= 0.0 or widest == end:
            break
        done[widest] = True
        for token in range(s):
            through = min(width[widest], flow[widest, token])
            if not done[token] and through > width[token]:
                width[token], before[token] = through, widest
    return before, width[end]


@kernel
def _duality_gap(p: FloatArray, winner: FloatArray, flow: FloatArray) -> float:
    """Smallest weak-duality gap over the sets H of largest winner / p, and their neighbours.

    Where p is tiny its ratio is mostly rounding, so that tokens may stand on the wrong side of the
    best H: from every such set single tokens are moved while that helps.
    """
    s = len(p)
    ratio = np.empty(s)
    for a in range(s):
        ratio[a] = winner[a] / p[a] if p[a] > 0.0 else np.inf
    order = np.argsort(-ratio)
    inside = np.zeros(s, dtype=np.bool_)
    best = _gap_of(p, winner, flow, inside)
    for a in order:
        inside[a] = True
        best = min(best, _gap_of(p, winner, flow, inside))
    if best > SETTLED:
        inside[:] = False
        for a in order:
            inside[a] = True
            best = min(best, _improved_gap(p, winner, flow, inside.copy()))
    return best if best > 0.0 else 0.0


@kernel
def _improved_gap(p: FloatArray, winner: FloatArray, flow: FloatArray, inside: BoolArray) -> float:
    best = _gap_of(p, winner, flow, inside)
    moved = True
    while moved and best > 0.0:
        moved = False
        for a in range(len(p)):
            inside[a] = not inside[a]
            gap = _gap_of(p, winner, flow, inside)
            if gap < best:
                best, moved = gap, True
            else:
                inside[a] = not inside[a]
    return best


@kernel
def _gap_of(p: FloatArray, winner: FloatArray, flow: FloatArray, inside: BoolArray) -> float:
    """How far the bound of a set H is above the value sum of min(p, winner).

    The bound is p(H) plus all that the others could receive: it exceeds the value by the shortfall
    of H, the surplus of the others, and the flow that H takes from pairs that it shares with them.
    """
    gap = 0.0
    for a in range(len(p)):
        if not inside[a]:
            gap += max(winner[a] - p[a], 0.0)
            continue
        gap += max(p[a] - winner[a], 0.0)
        for b in range(len(p)):
            if not inside[b]:
                gap += flow[a, b]
    return gap
