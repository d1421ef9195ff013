"""Oracle of truncated selection: the linear program of Khisti et al., section 4, through scipy."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import linprog

Distribution = np.ndarray


def program_optimum(p: Distribution, q1: Distribution, q2: Distribution, s: int) -> float:
    """The truncated linear program as the paper states it: one weight per pair of contenders."""
    order = np.argsort(-(p - q1 * q2), kind="stable")
    p, q1, q2 = p[order], q1[order], q2[order]
    size = len(p)
    fixed = np.zeros(size)
    pairs = []
    for i, j in itertools.product(range(size), repeat=2):
        if i != j and max(i, j) < s:
            pairs.append((i, j))
        else:
            fixed[min(i, j)] += q1[i] * q2[j]
    # Columns: the mass that each unordered pair gives its first token, as a weight times what the
    # pair weighs could be too small a coefficient for HiGHS; then the accepted mass of each token.
    pairs = [(i, j) for i, j in pairs if i < j]
    mass = np.array([q1[i] * q2[j] + q1[j] * q2[i] for i, j in pairs])
    rows = np.zeros((size, len(pairs) + size))
    limit = fixed.copy()
    for k, (i, j) in enumerate(pairs):
        rows[i, k] = -1.0
        rows[j, k] = 1.0
        limit[j] += mass[k]
    rows[:, len(pairs) :] = np.eye(size)
    cost = np.concatenate([np.zeros(len(pairs)), -np.ones(size)])
    bounds = [(0.0, value) for value in (*mass, *p)]
    # HiGHS allows 1e-7 by itself, which is more than the lightest pairs weigh.
    tight = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    return float(-linprog(cost, A_ub=rows, b_ub=limit, bounds=bounds, options=tight).fun)
