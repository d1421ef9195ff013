"""Ways to draft n tokens at a position, and how often a lossless rule puts one of them out.

Two kinds stand side by side. A *fixed set* (the draft's n most likely tokens, what argmax chains
and top-k trees draft) leaves a verifier no choice: its acceptance is the target's mass on the set.
Of drafts that are *drawn* the optimum is what no lossless rule exceeds, and exact match (sample the
target, see whether the sample was drafted) is what the simplest has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds, schemes
from mdbound.bounds.problem.array_types import FloatArray

Logits: TypeAlias = NDArray[np.floating[Any]]
Rates: TypeAlias = Callable[[FloatArray, FloatArray, Logits, int], FloatArray]
"""From p and q, (B, V), the draft's logits and N to rates for n = 1..N, (B, N)."""


def likeliest_set(p: FloatArray, q: FloatArray, logits: Logits, most: int) -> FloatArray:
    """Target mass on the draft's n most likely tokens.

    Their order is that of the logits, which is the same at every temperature; ties go to the lower
    token id.

    Example:
        >>> p, logits = np.array([[0.5, 0.3, 0.2]]), np.array([[0.0, 2.0, 1.0]])
        >>> likeliest_set(p, p, logits, 2).tolist()
        [[0.3, 0.5]]
    """
    del q  # nothing is drawn
    order = np.argsort(-logits, axis=1, kind="stable")[:, :most]
    return np.cumsum(np.take_along_axis(p, order, axis=1), axis=1)


def exact_match(p: FloatArray, q: FloatArray, logits: Logits, most: int) -> FloatArray:
    """P(a sample of the target is among n draws of the draft): sum of p (1 - (1 - q)^n).

    Example:
        >>> half = np.array([[0.5, 0.5]])
        >>> exact_match(half, half, half, 2).tolist()
        [[0.5, 0.75]]
    """
    del logits
    return np.asarray(schemes.get("nss").acceptance_curve(p, q, most).membership)


def optimum(law: str) -> Rates:
    """The optimal acceptance of a draft law.

    Example:
        >>> half = np.array([[0.5, 0.5]])
        >>> optimum("with_replacement")(half, half, half, 1).tolist()
        [[1.0]]
    """

    def rates(p: FloatArray, q: FloatArray, logits: Logits, most: int) -> FloatArray:
        del logits
        curve = bounds.solve_curve(p, q, most, law, strict=False)
        return np.asarray(curve.acceptance)

    return rates


WAYS: Mapping[str, Rates] = {
    "fixed set of the likeliest": likeliest_set,
    "drawn, exact match": exact_match,
    "drawn with replacement, optimum": optimum("with_replacement"),
    "drawn without replacement, optimum": optimum("without_replacement"),
    "greedy (likeliest and one draw), optimum": optimum("greedy"),
}
"""By name, in the order of tables. At n = 1 the optima are one: speculative sampling."""
