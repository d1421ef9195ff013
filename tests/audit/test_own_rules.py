"""Everything of ours passes the battery, and accepts no more than a lossless rule can."""

from __future__ import annotations

import pytest

from mdbound import audit, bounds, paths, schemes, trees
from mdbound.audit.problems.models import tree_problems
from mdbound.audit.problems.positions import HUB_PAIRS, SAMPLINGS, position_problems
from mdbound.audit.request import AuditRequest
from mdbound.errors import InvalidSettingError

LAWS: list[trees.TreeLaw] = [
    trees.Paths(2, 1),
    trees.Paths(2, 2),
    trees.Paths(3, 1),
    trees.Branching((2, 2), sampling="without_replacement"),
    trees.Branching((2, 1), sampling="with_replacement"),
    trees.Branching((2,), sampling="greedy"),
    trees.Branching((2, 1), sampling="top_k"),
    trees.Branching(trees.topology_from_json("[[0], [1], [0, 0], [0, 1]]")),
    trees.DelayedPaths(2, 1, 1),
]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", schemes.names())
def test_schemes(name: str, count: int) -> None:
    scheme = schemes.get(name)
    if not scheme.supports(count):
        pytest.skip(f"{name} takes {scheme.facts().numbers}")
    report = audit.exact(scheme.output_law, count, audit.sampling_of(name))
    assert report.lossless, str(report)
    assert report.above_bound == ()
    assert report.total_variation < 1e-13


@pytest.mark.parametrize("name", ["nss", "first_draft", "importance_sampling"])
def test_schemes_for_drafts_of_different_laws(name: str) -> None:
    report = audit.exact(schemes.get(name).output_law, 2, "independent")
    assert report.lossless, str(report)
    assert report.above_bound == ()


@pytest.mark.parametrize("name", ["nss", "first_draft", "rrs_without_replacement"])
def test_what_is_accepted_is_the_membership_rate(name: str) -> None:
    """Rates and laws of the output are two roads to one number."""
    scheme = schemes.get(name)
    report = audit.exact(scheme.output_law, 2, scheme.sampling)
    for problem, result in zip(position_problems(2, scheme.sampling), report.problems, strict=True):
        row, draft = (
            [float(mass) for mass in each] for each in (problem.target, problem.drafts[0])
        )
        rate = scheme.acceptance(row, draft, 2).membership
        assert result.accepted == pytest.approx(float(rate), abs=1e-12), problem.name


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("sampling", [each for each in SAMPLINGS if each != HUB_PAIRS])
def test_the_bound_over_all_sets_is_the_solvers(sampling: str, count: int) -> None:
    for problem in position_problems(count, sampling):
        target = [float(mass) for mass in problem.target]
        rows = [[float(mass) for mass in row] for row in problem.drafts]
        draft = rows if sampling == "independent" else rows[0]
        if sampling == "independent" and count == 1:
            continue
        solved = bounds.optimal_acceptance(target, draft, count, sampling)
        assert float(problem.bound) == pytest.approx(float(solved), abs=1e-12), problem.name


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("name", ["match", "single_draft", "block", "asps"])
def test_path_rules_are_lossless_in_fractions(name: str, length: int) -> None:
    report = audit.exact_path(audit.path_rule(name), length, numbers="fraction")
    assert report.lossless
    assert report.total_variation == 0.0
    assert report.above_bound == ()


def test_block_verification_reaches_the_bound_of_paths() -> None:
    report = audit.exact_path(audit.path_rule("block"), 3, numbers="fraction")
    for each in report.problems:
        assert each.bound is not None
        assert each.accepted == pytest.approx(each.bound, abs=1e-15)
    token_by_token = audit.exact_path(audit.path_rule("single_draft"), 3, numbers="fraction")
    assert any(each.accepted < (each.bound or 0) - 0.01 for each in token_by_token.problems)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.title())
def test_tree_verifiers_are_lossless(law: trees.TreeLaw) -> None:
    seen = 0
    for name in trees.names():
        try:
            rule = audit.tree_rule(name, law)
        except InvalidSettingError:
            continue
        report = audit.exact_tree(rule, law)
        assert report.lossless, f"{name}: {report}"
        assert report.above_bound == (), name
        seen += 1
    assert seen >= (1 if law.sampling == "top_k" else 3)


def test_expected_lengths_of_the_audit_are_those_of_the_verifiers() -> None:
    """What is put out of the tree, less the tokens of residuals that happen to be drafted."""
    law = trees.Paths(2, 1)
    report = audit.exact_tree(audit.tree_rule("gbv", law), law, numbers="fraction")
    for problem, result in zip(tree_problems(law), report.problems, strict=True):
        length = trees.expected_length(problem.target, problem.draft, law, "gbv")
        assert result.accepted >= float(length) - 1e-12


@pytest.mark.parametrize("law", [trees.Paths(2, 1), trees.Paths(2, 2)], ids=lambda law: law.title())
def test_quantile_with_its_losers_by_runs(law: trees.TreeLaw) -> None:
    """It has no closed law given the tree, which is said; its runs accuse nothing."""
    with pytest.raises(InvalidSettingError, match="audit `tree_sampler` of it"):
        audit.tree_rule("quantile_recursive", law)
    run = audit.tree_sampler("quantile_recursive", law)
    report = audit.sampled_tree(run, law, runs=1500, problems=tree_problems(law)[:6])
    assert report.lossless is None


def test_a_verifier_that_estimates_its_law_would_be_accused() -> None:
    """Control: the estimate of the losers' law, taken for the law itself, is found."""
    law = trees.Paths(2, 1)
    verifier = trees.runnable_verifier("quantile_recursive")
    from mdbound.trees.verifiers.rows import RowArrays

    report = audit.exact_tree(
        lambda p, q, tree: verifier.outcomes(RowArrays(p, "target"), RowArrays(q, "draft"), tree),
        law,
    )
    assert report.lossless is False


def test_names_of_ours_are_audited_by_name() -> None:
    kinds = {"k_seq": "2 drafts", "block": "a path", "gbv": "2 paths"}
    for name, title in kinds.items():
        titles = [found for found, _ in AuditRequest(name, num_drafts=(2,)).audits()]
        assert any(title in each for each in titles)
    assert set(paths.names()) >= {"match", "single_draft", "block", "asps"}
