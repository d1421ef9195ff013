"""A row that a scheme cannot solve: it raises, or is NaN in a batch whose other rows stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import UnsolvedError
from mdbound.schemes.contract.results import RowRates
from mdbound.schemes.nss import NSS
from tests.hard_rows import adversarial_pairs


class Picky(NSS):
    """Fails on rows that give token 0 nothing."""

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        if p[0] == 0.0:
            raise UnsolvedError("token 0 has no mass")
        return super()._row_rates(p, q, counts)


P = np.array([[0.5, 0.5], [0.0, 1.0]])
Q = np.array([[0.5, 0.5], [0.5, 0.5]])


def test_one_row_does_not_take_the_batch_with_it() -> None:
    scheme = Picky()
    with pytest.raises(UnsolvedError, match="token 0"):
        scheme.acceptance(P, Q, 2)
    found = scheme.acceptance(P, Q, 2, strict=False)
    assert np.isnan(np.asarray(found.membership)).tolist() == [False, True]
    right = schemes.get("nss").acceptance(P[0], Q[0], 2).membership
    assert np.asarray(found.membership)[0] == right
    curve = scheme.acceptance_curve(P, Q, 3, strict=False)
    assert np.isnan(np.asarray(curve.accept)).tolist() == [[False] * 3, [True] * 3]


@pytest.mark.parametrize("name", [each for each in schemes.names() if each != "optimal"])
def test_rates_are_probabilities(name: str) -> None:
    """Of 300 hard rows; at p = q sums of a whole row used to end an ulp above 1."""
    scheme = schemes.get(name)
    n = 2 if scheme.supports(2) else 1
    for p, q in adversarial_pairs(300, 11):
        rate = scheme.acceptance(p, q, n)
        assert 0.0 <= rate.accept <= 1.0, (p, q)
        assert 0.0 <= rate.membership <= 1.0, (p, q)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "greedy"])
def test_bounds_are_probabilities(sampling: str) -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(2, 40))
        p, q = np.zeros(2 * size), np.zeros(2 * size)
        p[:size], q[size:] = rng.dirichlet(np.ones(size)), rng.dirichlet(np.ones(size))
        curve = bounds.acceptance_curve(p, q, 6, sampling=sampling)
        assert np.all((curve >= 0.0) & (curve <= 1e-12)), seed
