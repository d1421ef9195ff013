"""The optimal scheme: reaches the brute-force optimum, and its rule can be run."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import schemes
from mdbound.bounds.canonical.decomposition import canonical_decomposition
from mdbound.errors import InvalidSettingError
from tests.oracles import schemes as oracles
from tests.schemes.cases import small_cases

CASES = small_cases(per_kind=8)
RULE_TOLERANCE = 1e-9
"""The weights of a selection rule are found by iteration."""

LAWS = {
    "with_replacement": oracles.with_replacement_law,
    "without_replacement": oracles.without_replacement_law,
    "greedy": oracles.greedy_law,
}


@pytest.mark.parametrize("sampling", LAWS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_rate_is_the_optimum_over_all_subsets(sampling: str, n: int) -> None:
    scheme = schemes.get("optimal", sampling=sampling)
    for case in CASES:
        optimum = float(oracles.optimum(case.target, LAWS[sampling](case.draft, n)))
        rate = scheme.acceptance(case.p, case.q, n)
        assert rate.accept == rate.membership == pytest.approx(optimum, abs=1e-12), case


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_rule_loses_nothing(n: int) -> None:
    scheme = schemes.get("optimal")
    for case in CASES:
        if case.kind == "tiny_mass":
            continue  # the weights' iteration may give up there, and says so
        law = oracles.with_replacement_law(case.draft, n)
        rule = canonical_decomposition(case.p, case.q, n)
        truth = oracles.enumerate_scheme(
            law, oracles.tournament(case.target, rule.selection_probabilities, law)
        )
        optimum = float(oracles.optimum(case.target, law))
        assert truth.output_error(case.target) <= 1e-12, case
        assert float(truth.accept) == pytest.approx(optimum, abs=RULE_TOLERANCE), case
        assert float(truth.membership) == pytest.approx(optimum, abs=RULE_TOLERANCE), case
        total = sum(
            float(weight) * sum(scheme.branch_probabilities(case.p, case.q, drafted).values())
            for drafted, weight in law.items()
        )
        assert total == pytest.approx(optimum, abs=RULE_TOLERANCE), case


def test_different_drafts_use_the_independent_law() -> None:
    for case, other in zip(CASES[:15], CASES[15:30], strict=True):
        if len(case.draft) != len(other.draft):
            continue
        law = oracles.independent_law([case.draft, other.draft])
        rate = schemes.get("optimal").acceptance(case.p, [case.q, other.q], 2)
        optimum = float(oracles.optimum(case.target, law))
        assert rate.membership == pytest.approx(optimum, abs=1e-11), case


def test_what_cannot_be_run_is_refused() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidSettingError, match="identical drafts drawn 'with_replacement'"):
        schemes.get("optimal", sampling="greedy").sample(p, q, 2, rng, 5)
    with pytest.raises(InvalidSettingError, match="identical drafts"):
        schemes.get("optimal").sample(p, [q, p], 2, rng, 5)
    with pytest.raises(InvalidSettingError, match="sampling is 'independent'"):
        schemes.get("optimal", sampling="independent")
