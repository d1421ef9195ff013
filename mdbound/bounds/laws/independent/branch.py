"""The search for the optimal set of independent drafts; see `law`."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.laws.independent.contraction import contract
from mdbound.bounds.laws.independent.planes import plane_bound
from mdbound.bounds.laws.independent.undecided import (
    OpenTokens,
    leave_one_out_products,
    masses_below,
    product,
    weighted,
)
from mdbound.bounds.numerics.compiled.array_loops import copy, most
from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.numerics.tolerances import BOX_TOLERANCE, MAX_BOXES
from mdbound.bounds.problem.array_types import BoolArray, FloatArray

FEW = 6
"""So many open tokens and fewer are settled by looking at all their subsets."""

_GUESSES = 3  # threshold sets tried per box


@kernel
def set_value(masses: FloatArray) -> float:
    """p(H) - q_1(H) ... q_K(H) from the masses p, q_1..q_K and the number of tokens of a set.

    Example:
        >>> set_value(np.array([0.25, 0.5, 0.75, 3.0]))
        -0.125
    """
    value: float = masses[0] - product(masses[1 : len(masses) - 1])
    return value


# Long: one loop over the boxes, whose stack, best set and counter every step changes.
@kernel
def contract_and_branch(
    tokens: OpenTokens,
    low: FloatArray,
    high: FloatArray,
    best: FloatArray,
    members: BoolArray,
) -> int:
    """Improve the best set known until no other beats it by more than `BOX_TOLERANCE`.

    Args:
        tokens: the sets hold what is inside, any of the open tokens, and nothing else; `ids`
            are positions in `members`.
        low: at least this is q_k(H) of any optimal set, shape (K,).
        high: at most this.
        best: masses and number of tokens of the best set known, shape (K + 2,); updated.
        members: which of the tokens that were open at first the best set holds; updated.

    Returns:
        The boxes looked at; above `MAX_BOXES` the search was given up.

    Example:
        >>> masses = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3]])
        >>> tokens = OpenTokens(np.arange(3), masses, np.zeros(4), 3)
        >>> best, members = np.zeros(4), np.zeros(3, dtype=np.bool_)
        >>> contract_and_branch(tokens, np.zeros(2), np.ones(2), best, members)
        1
        >>> best.tolist(), members.tolist()
        ([0.5, 0.8, 0.8, 2.0], [False, True, True])
    """
    root = tokens
    forced = np.zeros(len(members), dtype=np.bool_)
    num_drafts = len(low)
    stack = np.empty((2, 16, num_drafts))
    copy(low, stack[0, 0])
    copy(high, stack[1, 0])
    boxes, waiting = 0, 1
    low, high = np.empty(num_drafts), np.empty(num_drafts)
    while waiting > 0 and boxes <= MAX_BOXES:
        waiting -= 1
        copy(stack[0, waiting], low)
        copy(stack[1, waiting], high)
        boxes += 1
        local_forced = np.empty(len(forced), dtype=np.bool_)
        copy(forced, local_forced)
        limit = min(set_value(best), 0.0) - BOX_TOLERANCE
        opened, possible = contract(root, low, high, best, limit, FEW, local_forced)
        if not possible:
            continue
        if opened.size <= FEW:
            _try_all(opened, local_forced, best, members)
            continue
        _improve(opened, 0.5 * (low + high), local_forced, best, members)
        if plane_bound(opened, low, high) >= set_value(best) - BOX_TOLERANCE:
            continue
        if boxes == 1:
            # Whatever the first contraction decided holds in every part of the box.
            root = opened
            forced = local_forced
        side = 0
        for k in range(1, len(low)):
            side = k if high[k] - low[k] > high[side] - low[side] else side
        middle = 0.5 * (low[side] + high[side])
        if waiting + 2 > stack.shape[1]:
            stack = _doubled(stack, waiting)
        for k in range(2):
            copy(low, stack[0, waiting + k])
            copy(high, stack[1, waiting + k])
        stack[1, waiting, side] = middle
        stack[0, waiting + 1, side] = middle
        waiting += 2
    return boxes


@kernel
def _doubled(stack: FloatArray, waiting: int) -> FloatArray:
    larger = np.empty((2, 2 * waiting + 2, stack.shape[2]))
    for end in range(2):
        for box in range(waiting):
            copy(stack[end, box], larger[end, box])
    return larger


@kernel
def _improve(
    tokens: OpenTokens, x: FloatArray, forced: BoolArray, best: FloatArray, members: BoolArray
) -> None:
    """Try the forced set and a few thresholds; keep what beats the best set."""
    num_drafts = len(x)
    chosen = np.zeros(num_drafts)
    improved = False
    # With weights 0 only the tokens forced in are taken. In a box shrunk to a point that set
    # meets the lower bound, which is why the search ends.
    weights = chosen
    for _ in range(_GUESSES + 1):
        masses = tokens.inside + masses_below(tokens.masses, tokens.size, weights, 1.0)
        if set_value(masses) < set_value(best):
            copy(masses, best)
            chosen = weights
            improved = True
        if most(weights) > 0.0:
            x = masses[1 : num_drafts + 1]
        weights = leave_one_out_products(x)
    if improved:
        copy(forced, members)
        gain = np.empty(tokens.size)
        weighted(tokens.masses, 0, tokens.size, chosen, gain)
        for i in range(tokens.size):
            members[tokens.ids[i]] = tokens.masses[0, i] < gain[i]


@kernel
def _try_all(tokens: OpenTokens, forced: BoolArray, best: FloatArray, members: BoolArray) -> None:
    """Look at every subset of the open tokens."""
    rows = len(tokens.masses)
    found = -1
    masses = np.empty(rows + 1)
    for chosen in range(1 << tokens.size):
        copy(tokens.inside, masses)
        for i in range(tokens.size):
            if (chosen >> i) & 1 == 1:
                for row in range(rows):
                    masses[row] += tokens.masses[row, i]
                masses[rows] += 1.0
        if set_value(masses) < set_value(best):
            copy(masses, best)
            found = chosen
    if found >= 0:
        copy(forced, members)
        for i in range(tokens.size):
            members[tokens.ids[i]] = (found >> i) & 1 == 1
