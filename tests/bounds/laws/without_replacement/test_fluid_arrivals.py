"""The polynomial of the Poisson fluid bounds what the tokens outside a prefix can add to F_n."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.bounds.laws.without_replacement.fluid_arrivals import arrival_scratch, arrival_shares
from mdbound.bounds.laws.without_replacement.law import prefix_containment
from mdbound.bounds.laws.without_replacement.ring_law import (
    add_heavy,
    add_tokens,
    large_tokens,
    ring_nodes,
)
from mdbound.bounds.numerics.clock_quadrature import NUM_POWERS, clock_quadrature


def test_fluid_polynomial_bounds_what_tokens_add():
    """F_n after adding tokens is at most the polynomial, and meets it for vanishing ones."""
    rng = np.random.default_rng(7)
    rule = clock_quadrature(8)
    for case in range(20):
        rates = rng.dirichlet(np.full(60, (0.2, 1.0)[case % 2]))
        shares = prefix_shares(rule, rates, 20)
        assert np.allclose(shares[1:].sum(axis=1), 1.0, atol=1e-13)
        assert (shares >= -1e-14).all()
        outside = rates[20:].sum()
        for size in range(20, 60):
            part = rates[20:size].sum() / outside
            for n in range(1, 9):
                bound = np.polynomial.polynomial.polyval(part, shares[n, : n + 1])
                assert prefix_containment(rates, n, size) <= bound + 1e-13
        pieces = np.concatenate([rates[:20], np.full(20_000, outside / 20_000)])
        for n in (2, 8):
            bound = np.polynomial.polynomial.polyval(0.5, shares[n, : n + 1])
            assert prefix_containment(pieces, n, 20 + 10_000) == pytest.approx(bound, abs=2e-3)


def prefix_shares(rule, rates, size):
    nodes = ring_nodes(rule, rates)
    count = nodes.grid.shape[1]
    places = np.empty(len(rates) + 1, dtype=np.int64)
    large = places[: large_tokens(rates, nodes.faint_rate, places)]
    sums, heavy, law = np.zeros(NUM_POWERS + 1), np.empty(len(rates)), np.zeros((8, count))
    law[0] = 1.0
    found = add_tokens(nodes, rates, large, 0, size, sums, heavy, 0)
    add_heavy(nodes.grid, heavy[:found], law)
    shares, slope = np.zeros((9, 9)), np.zeros(9)
    space = arrival_scratch(8, count)
    arrival_shares(nodes, law, sums, rates[size:].sum(), space, shares, slope)
    return shares
