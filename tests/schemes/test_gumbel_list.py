"""Gumbel list sampling against rational integrals of every drafted tuple."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mdbound import schemes
from mdbound.schemes.rates import gumbel_quadrature
from mdbound.schemes.rates.gumbel_quadrature import Levels, level_nodes, list_acceptance
from mdbound.schemes.rates.sorted_residual import sort_residual
from tests.oracles import schemes as oracles
from tests.schemes.cases import small_cases

CASES = small_cases(per_kind=6, sizes=(2, 3))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_rate_output_law_and_branches(n: int) -> None:
    scheme = schemes.get("gumbel_list")
    for case in CASES:
        truth = oracles.gumbel_list(case.target, case.draft, n)
        assert truth.output_error(case.target) == 0.0, case
        rate = scheme.acceptance(case.p, case.q, n)
        assert rate.membership == pytest.approx(float(truth.membership), abs=1e-12), case
        assert rate.accept == rate.membership
        assert rate.standard_error == 0.0
        bound = oracles.optimum(case.target, oracles.with_replacement_law(case.draft, n))
        assert rate.membership <= float(bound) + 1e-12, case
        for drafted, branches in truth.branches.items():
            for order in set(itertools.permutations(drafted)):
                got = scheme.branch_probabilities(case.p, case.q, order)
                for token, probability in branches.items():
                    assert got[token] == pytest.approx(float(probability), abs=1e-11), case


def test_one_draft_closed_form_at_full_vocabulary() -> None:
    """One draft accepts sum over j of 1 / sum over i of max(p_i / p_j, q_i / q_j)."""
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(2, 3000)) * 4.0
    p, q = (np.exp(x) / np.exp(x).sum() for x in logits)
    closed = sum(1.0 / np.maximum(p / p[j], q / q[j]).sum() for j in range(len(p)))
    assert schemes.get("gumbel_list").acceptance(p, q, 1).membership == pytest.approx(
        closed, abs=1e-12
    )


def plain_trapezoid(step: float) -> Levels:
    """A rule of equal steps in ln l, finer and wider than needed."""
    levels = np.exp(np.arange(-45.0, np.log(46.0) + step, step))
    return Levels(levels, step * levels)


def test_quadrature_has_converged() -> None:
    """Against twice as many nodes at equal steps, on rows whose ratios span many decades."""
    counts = np.array([1, 2, 4, 8, 16, 64, 128])
    rng = np.random.default_rng(6)
    rows = [np.exp(5.0 * rng.normal(size=(2, 2000)))]
    rows += [10.0 ** rng.uniform(-25, 0, size=(2, 300)) for _ in range(10)]
    for masses in rows:
        p, q = masses / masses.sum(axis=1, keepdims=True)
        row = sort_residual(p, q)
        found = list_acceptance(row, counts, level_nodes(1))
        fine = list_acceptance(row, counts, plain_trapezoid(0.08))
        assert np.abs(found - fine).max() <= 3e-13


def test_fewer_nodes_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: with 60 nodes the values are off by more than is promised."""
    rng = np.random.default_rng(7)
    masses = 10.0 ** rng.uniform(-25, 0, size=(2, 300))
    p, q = masses / masses.sum(axis=1, keepdims=True)
    row, counts = sort_residual(p, q), np.array([1, 2, 128])
    fine = list_acceptance(row, counts, plain_trapezoid(0.08))
    monkeypatch.setattr(gumbel_quadrature, "NODES", 60)
    assert np.abs(list_acceptance(row, counts, level_nodes(1)) - fine).max() > 1e-12
