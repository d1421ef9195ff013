"""Importance sampling: the tournament walked tuple by tuple, and the optimum at full threshold."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import schemes
from mdbound.bounds.papers.truncated import truncated_selection
from mdbound.errors import InvalidSettingError
from mdbound.schemes.importance_sampling import ImportanceSampling
from tests.oracles import schemes as oracles
from tests.schemes.cases import Case, make_case, small_cases

CASES = small_cases(per_kind=8)


def enumerate_tournament(case: Case, drafts: list, threshold: int) -> oracles.Enumeration:
    n = len(drafts)
    law = oracles.independent_law(drafts)
    floats = np.array([[float(x) for x in q] for q in drafts])
    rule = truncated_selection(case.p, floats, n, threshold)
    verify = oracles.tournament(case.target, rule.selection_probabilities, law)
    return oracles.enumerate_scheme(law, verify)


@pytest.mark.parametrize("threshold", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_rates_losslessness_and_branches(n: int, threshold: int) -> None:
    scheme = ImportanceSampling(threshold=threshold)
    for case in CASES:
        truth = enumerate_tournament(case, [case.draft] * n, threshold)
        assert truth.output_error(case.target) <= 1e-12, case
        rate = scheme.acceptance(case.p, case.q, n)
        assert rate.standard_error == 0.0
        assert rate.accept == pytest.approx(float(truth.accept), abs=1e-12), case
        assert rate.membership == pytest.approx(float(truth.membership), abs=1e-12), case
        bound = oracles.optimum(case.target, oracles.with_replacement_law(case.draft, n))
        assert rate.membership <= float(bound) + 1e-12, case
        for drafted, branches in truth.branches.items():
            got = scheme.branch_probabilities(case.p, case.q, drafted)
            for token, probability in branches.items():
                assert got[token] == pytest.approx(float(probability), abs=1e-11), case


def test_two_drafts_without_truncation_are_optimal() -> None:
    scheme = ImportanceSampling(threshold=4)
    for case in CASES:
        rate = scheme.acceptance(case.p, case.q, 2)
        bound = oracles.optimum(case.target, oracles.with_replacement_law(case.draft, 2))
        assert rate.accept == pytest.approx(float(bound), abs=1e-11), case
        assert rate.membership == pytest.approx(float(bound), abs=1e-11), case


@pytest.mark.parametrize("n", [2, 3])
def test_drafts_of_different_laws(n: int) -> None:
    for seed in range(10):
        case = make_case("dense", 3, seed)
        drafts = [make_case("dense", 3, 100 * k + seed).draft for k in range(n)]
        truth = enumerate_tournament(case, drafts, 2)
        floats = [np.array([float(x) for x in q]) for q in drafts]
        rate = ImportanceSampling(threshold=2).acceptance(case.p, floats, n)
        assert truth.output_error(case.target) <= 1e-12
        assert rate.accept == pytest.approx(float(truth.accept), abs=1e-12)
        assert rate.membership == pytest.approx(float(truth.membership), abs=1e-12)
        bound = oracles.optimum(case.target, oracles.independent_law(drafts))
        assert rate.membership <= float(bound) + 1e-12


def test_estimate_agrees_with_the_exact_membership() -> None:
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(20):
        p, q = rng.dirichlet(np.ones(30), size=2)
        exact = ImportanceSampling(threshold=3).acceptance(p, q, 4)
        rough = ImportanceSampling(threshold=3, max_exact_steps=0).acceptance(p, q, 4)
        assert exact.standard_error == 0.0
        assert rough.accept == exact.accept
        assert rough.standard_error > 0.0
        scores.append((rough.membership - exact.membership) / rough.standard_error)
    assert np.abs(scores).max() < 4.0
    assert 0.3 < np.std(scores) < 2.0


def test_truncated_alphabet_is_the_scheme_on_the_restricted_draft() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    short = ImportanceSampling(alphabet_size=2)
    restricted = np.array([0.0, 0.625, 0.375])
    assert short.drafting_law(q) == pytest.approx(restricted, abs=1e-15)
    rate = short.acceptance(p, q, 2)
    same = ImportanceSampling().acceptance(p, restricted, 2)
    assert rate.membership == pytest.approx(same.membership, abs=1e-15)
    with pytest.raises(InvalidSettingError, match="cannot draft"):
        short.branch_probabilities(p, q, [0, 1])


@pytest.mark.parametrize("option", [{"threshold": 0}, {"alphabet_size": 0}, {"runs": 1}])
def test_refused_options(option: dict[str, int]) -> None:
    with pytest.raises(InvalidSettingError, match="give"):
        schemes.get("importance_sampling", **option)
