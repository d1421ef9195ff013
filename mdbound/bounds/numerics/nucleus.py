"""Top-p truncation of probabilities, as `transformers` does it, without sorting the vocabulary."""

from __future__ import annotations

import numpy as np

from mdbound.bounds.numerics.compiled.row_threads import run_chunks
from mdbound.bounds.problem.array_types import FloatArray


def keep_nucleus(probabilities: FloatArray, top_p: float) -> None:
    """Zero all tokens outside the nucleus of each row and renormalise, in place.

    In descending order, equal probabilities by token id, a token stays while the mass before it
    is below `top_p`. Tokens of at most (1 - top_p) / V together weigh too little to be reached,
    so only the others, mostly a few hundred, are sorted.

    Args:
        probabilities: shape (B, V), rows that sum to 1.
        top_p: in (0, 1).

    Example:
        >>> rows = np.array([[0.5, 0.25, 0.25]])
        >>> keep_nucleus(rows, 0.6)
        >>> rows.round(4).tolist()
        [[0.6667, 0.3333, 0.0]]
    """

    def keep(chunk: int, chunks: int) -> None:
        for p in probabilities[chunk::chunks]:
            _keep_in_row(p, top_p)

    run_chunks(keep, len(probabilities))


def _keep_in_row(p: FloatArray, top_p: float) -> None:
    # A little below the bound, for masses that do not sum to 1 to the last bit.
    candidates = np.flatnonzero(p > (1.0 - 1e-6) * (1.0 - top_p) / len(p))
    if len(candidates) == 0:
        candidates = np.arange(len(p))
    order = candidates[np.argsort(-p[candidates], kind="stable")]
    mass = np.cumsum(p[order])
    last = min(int(np.searchsorted(mass, top_p)), len(order) - 1)
    kept = p[order[: last + 1]] / mass[last]
    p[:] = 0.0
    p[order[: last + 1]] = kept
