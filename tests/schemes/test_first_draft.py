"""Testing the first draft only: all tuples in rational numbers, and a variant that is broken."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import pytest

from mdbound import schemes
from tests.oracles import schemes as oracles
from tests.schemes.cases import Case, make_case, small_cases

CASES = small_cases(per_kind=6, sizes=(3, 4, 5))
Verify = Callable[[tuple[int, ...]], Iterable[oracles.Outcome]]


def floats(draft: tuple[Fraction, ...]) -> np.ndarray:
    return np.array([float(mass) for mass in draft])


def enumerated(case: Case, drafts: list[tuple[Fraction, ...]]) -> oracles.Enumeration:
    law = oracles.independent_law(drafts)
    return oracles.enumerate_scheme(law, oracles.first_draft(case.target, drafts[0]))


@pytest.mark.parametrize("num_drafts", [1, 2, 3, 4])
def test_rates_output_and_branches_over_all_tuples(num_drafts: int) -> None:
    scheme = schemes.get("first_draft")
    for case in CASES:
        truth = enumerated(case, [case.draft] * num_drafts)
        # Exactly the target: rational numbers leave no room for rounding.
        assert [truth.output.get(y, Fraction(0)) for y in range(len(case.target))] == list(
            case.target
        ), case
        rate = scheme.acceptance(case.p, case.q, num_drafts)
        assert rate.accept == pytest.approx(float(truth.accept), abs=1e-15), case
        assert rate.membership == pytest.approx(float(truth.membership), abs=1e-15), case
        assert rate.standard_error == 0.0
        for drafted, branches in truth.branches.items():
            found = scheme.branch_probabilities(case.p, case.q, drafted)
            assert found == pytest.approx(
                {token: float(mass) for token, mass in branches.items()}, abs=1e-14
            ), (case, drafted)


def test_the_published_rate_in_rational_numbers() -> None:
    """Sum of min(p, q) + sum of max(p - q, 0) (1 - (1 - q)^(n-1)), against the enumeration."""
    for case, num_drafts in itertools.product(CASES, (1, 2, 3)):
        pairs = list(zip(case.target, case.draft, strict=True))
        rate = sum((min(p, q) for p, q in pairs), Fraction(0))
        rate += sum(max(p - q, Fraction(0)) * (1 - (1 - q) ** (num_drafts - 1)) for p, q in pairs)
        assert enumerated(case, [case.draft] * num_drafts).membership == rate, case


@pytest.mark.parametrize("num_drafts", [2, 3])
def test_drafts_of_different_laws(num_drafts: int) -> None:
    for kind, seed in itertools.product(("dense", "sparse", "tied", "point_mass"), range(6)):
        case = make_case(kind, 4, seed)
        drafts = [case.draft] + [
            make_case(kind, 4, 100 * k + seed).draft for k in range(1, num_drafts)
        ]
        truth = enumerated(case, drafts)
        assert truth.output_error(case.target) == 0.0
        rows = [floats(draft) for draft in drafts]
        rate = schemes.get("first_draft").acceptance(case.p, rows, num_drafts)
        assert rate.accept == pytest.approx(float(truth.accept), abs=1e-14), case
        assert rate.membership == pytest.approx(float(truth.membership), abs=1e-14), case
        for drafted, branches in truth.branches.items():
            found = schemes.get("first_draft").branch_probabilities(case.p, rows, drafted)
            assert found == pytest.approx(
                {token: float(mass) for token, mass in branches.items()}, abs=1e-14
            ), (case, drafted)


def _best_of_all(case: Case) -> Verify:
    """Deliberately wrong: tests the draft of largest p/q, but as if it were the first."""

    def verify(drafted: tuple[int, ...]) -> Iterable[oracles.Outcome]:
        best = max(drafted, key=lambda x: case.target[x] / case.draft[x])
        return oracles.first_draft(case.target, case.draft)((best, *drafted))

    return verify


def test_testing_the_best_draft_instead_is_not_lossless() -> None:
    """The enumeration can fail: choosing which draft to test changes the output law."""
    errors = [
        oracles.enumerate_scheme(
            oracles.with_replacement_law(case.draft, 2), _best_of_all(case)
        ).output_error(case.target)
        for case in CASES
    ]
    assert max(errors) > 0.05


def test_it_is_neither_single_draft_nor_nss() -> None:
    """Two drafts: the one that is not tested counts when the residual hits it."""
    p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
    rate = schemes.get("first_draft").acceptance(p, q, 2)
    assert rate.accept == pytest.approx(0.7, abs=1e-15)
    assert rate.membership == pytest.approx(0.7 + 0.3 * 0.2, abs=1e-15)
    assert rate.membership != schemes.get("nss").acceptance(p, q, 2).membership
    one = schemes.get("first_draft").acceptance(p, q, 1)
    assert one.accept == one.membership == schemes.get("single_draft").acceptance(p, q, 1).accept
