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


@pytest.mark.parametrize("sampling", ["without_replacement", "greedy"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_other_laws_run_too(sampling: str, n: int) -> None:
    scheme = schemes.get("optimal", sampling=sampling)
    for case in CASES[::3]:
        law = LAWS[sampling](case.draft, n)
        branches = {
            drafted: scheme.output_law(case.p, case.q, drafted) for drafted in law if law[drafted]
        }
        output, member = np.zeros_like(case.p), 0.0
        for drafted, given in branches.items():
            for token, probability in given.items():
                output[token] += float(law[drafted]) * probability
            member += float(law[drafted]) * sum(given.get(token, 0.0) for token in set(drafted))
        assert np.abs(output - case.p).max() <= 1e-11, case
        optimum = float(oracles.optimum(case.target, law))
        assert member == pytest.approx(optimum, abs=1e-9), case


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "greedy"])
def test_draws_have_the_target_law(sampling: str) -> None:
    rng = np.random.default_rng(3)
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    scheme = schemes.get("optimal", sampling=sampling)
    runs = 200_000
    samples = scheme.sample(p, q, 3, rng, runs)
    counts = np.bincount(samples.output, minlength=6) / runs
    assert (np.abs(counts - p) < 4.5 * np.sqrt(p / runs)).all()
    member = (samples.drafts == samples.output[:, None]).any(axis=1).mean()
    best = scheme.acceptance(p, q, 3).membership
    assert abs(member - best) < 4.5 * np.sqrt(best * (1 - best) / runs)


def test_drafts_of_different_laws_run() -> None:
    rng = np.random.default_rng(4)
    p, q, other = (rng.dirichlet(np.ones(5)) for _ in range(3))
    scheme, runs = schemes.get("optimal"), 200_000
    samples = scheme.sample(p, [q, other], 2, rng, runs)
    counts = np.bincount(samples.output, minlength=5) / runs
    assert (np.abs(counts - p) < 4.5 * np.sqrt(p / runs)).all()
    best = scheme.acceptance(p, [q, other], 2).membership
    member = (samples.drafts == samples.output[:, None]).any(axis=1).mean()
    assert abs(member - best) < 4.5 * np.sqrt(best * (1 - best) / runs)


def test_fewer_tokens_than_drafts() -> None:
    rng = np.random.default_rng(5)
    for sampling in ("without_replacement", "greedy"):
        scheme = schemes.get("optimal", sampling=sampling)
        samples = scheme.sample([0.2, 0.8, 0.0], [0.5, 0.5, 0.0], 3, rng, 100)
        assert (samples.drafts[:, 2] == -1).all()
        assert samples.accepted.all()


def test_what_cannot_be_run_is_refused() -> None:
    p, rng = np.full(2_000, 1 / 2_000), np.random.default_rng(0)
    with pytest.raises(InvalidSettingError, match="10,000,000 at most"):
        schemes.get("optimal", sampling="without_replacement").sample(p, p, 3, rng, 5)
    with pytest.raises(InvalidSettingError, match="cannot draft"):
        schemes.get("optimal", sampling="greedy").branch_probabilities(
            [0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0, 2]
        )
    with pytest.raises(InvalidSettingError, match="sampling is 'independent'"):
        schemes.get("optimal", sampling="independent")
