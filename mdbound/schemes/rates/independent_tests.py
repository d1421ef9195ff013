"""Independent tests of all drafts against p over rho, the first that passes accepted: K-SEQ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.sampling.draws import draw_independent, draw_tokens


def draw_tested(
    p: FloatArray,
    drafts: list[FloatArray],
    rho: float,
    residual: FloatArray,
    rng: np.random.Generator,
    size: int,
) -> tuple[IntArray, IntArray, BoolArray]:
    """Runs: drafts, outputs, and whether one passed, with probability min(1, p(x) / (rho q(x))).

    Args:
        p: target, (V,).
        drafts: a row for each drafted token, all equal.
        rho: of the tests.
        residual: weights of the output where none passes, (V,).
        rng: source of randomness.
        size: number of runs.

    Example:
        >>> p, q, rng = np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.random.default_rng(0)
        >>> draw_tested(p, [q, q], 1.0, p, rng, 2)[1].tolist()
        [1, 1]
    """
    drafted = draw_independent(drafts, rng, size)
    passed = rng.random(drafted.shape) * rho * drafts[0][drafted] < p[drafted]
    fired = np.asarray(passed.any(axis=1))
    output = drafted[np.arange(size), passed.argmax(axis=1)]
    failed = int((~fired).sum())
    if failed:
        output[~fired] = draw_tokens(residual, rng, failed)
    return drafted, output, fired


def tested_output(
    p: FloatArray, q: FloatArray, rho: float, residual: FloatArray, drafted: Sequence[int]
) -> FloatArray:
    """P(output = token | drafted) for each token, (V,).

    Example:
        >>> p, q = np.array([0.25, 0.75]), np.array([0.5, 0.5])
        >>> tested_output(p, q, 1.0, np.array([0.0, 1.0]), [0, 0]).tolist()
        [0.75, 0.25]
    """
    accepted = dict.fromkeys(drafted, 0.0)
    reached = 1.0
    for x in drafted:
        share = min(1.0, p[x] / (rho * q[x]))
        accepted[x] += reached * share
        reached *= 1.0 - share
    return output_row(accepted, residual)
