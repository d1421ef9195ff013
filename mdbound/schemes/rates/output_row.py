"""The law of the output given the drafts: what tests accept, and the residual for what is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray


def output_row(accepted: Mapping[int, float], residual: FloatArray) -> FloatArray:
    """P(output = token) for each token of the vocabulary, shape (V,).

    Args:
        accepted: by token, the probability that a test accepts it.
        residual: weights (V,) of the output where no test accepts; all zero where one always does.

    Example:
        >>> output_row({0: 0.5}, np.array([0.0, 1.0, 3.0])).tolist()
        [0.5, 0.125, 0.375]
    """
    total = residual.sum()
    missing = 1.0 - sum(accepted.values())
    found = residual * (missing / total) if total > 0.0 else np.zeros_like(residual)
    for token, mass in accepted.items():
        found[token] += mass
    return found
