"""The vectorised exponential against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np

from mdbound.bounds.numerics.vector_exp import EXP_RELATIVE_ERROR, exp_of


def test_vector_exp_keeps_its_error():
    rng = np.random.default_rng(3)
    x = -np.concatenate([rng.uniform(0, 680, 1500), rng.uniform(0, 1, 500), [0.0, 1e-300, 679.9]])
    with mpmath.workdps(30):
        error = [
            abs(mpmath.mpf(y) / mpmath.exp(mpmath.mpf(v)) - 1)
            for v, y in zip(x, exp_of(x), strict=True)
        ]
    assert float(max(error)) <= EXP_RELATIVE_ERROR
    assert exp_of(np.array([-709.0, -1e30, -np.inf])).tolist() == [0.0, 0.0, 0.0]
