"""Rates, output law and branch probabilities against the enumeration of every branch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import pytest

from mdbound import schemes
from tests.oracles import schemes as oracles
from tests.schemes.cases import KINDS, Case, small_cases

TOLERANCE = 1e-12
COUNTS = (1, 2, 3)
CASES = small_cases(per_kind=15)

Verify = Callable[[tuple[int, ...]], Iterable[oracles.Outcome]]
Oracle = Callable[[Case, int], tuple[oracles.DraftLaw, Verify]]


def _k_seq(case: Case, n: int) -> tuple[oracles.DraftLaw, Verify]:
    rho = oracles.optimal_rho(case.target, case.draft, n)
    return (
        oracles.with_replacement_law(case.draft, n),
        oracles.k_seq(case.target, case.draft, n, rho),
    )


ORACLES: dict[str, Oracle] = {
    "single_draft": lambda c, n: (
        oracles.with_replacement_law(c.draft, n),
        oracles.recursive_rejection(c.target, c.draft, with_replacement=True),
    ),
    "nss": lambda c, n: (
        oracles.with_replacement_law(c.draft, n),
        oracles.nss(c.target),
    ),
    "first_draft": lambda c, n: (
        oracles.with_replacement_law(c.draft, n),
        oracles.first_draft(c.target, c.draft),
    ),
    "rrs_with_replacement": lambda c, n: (
        oracles.with_replacement_law(c.draft, n),
        oracles.recursive_rejection(c.target, c.draft, with_replacement=True),
    ),
    "rrs_without_replacement": lambda c, n: (
        oracles.without_replacement_law(c.draft, n),
        oracles.recursive_rejection(c.target, c.draft, with_replacement=False),
    ),
    "k_seq": _k_seq,
    "spechub": lambda c, _: (oracles.spechub_law(c.draft), oracles.spechub(c.target, c.draft)),
    "greedy": lambda c, n: (
        oracles.greedy_law(c.draft, n),
        oracles.greedy(c.target, c.draft, n),
    ),
}

SETTINGS = [(name, n) for name in ORACLES for n in COUNTS if schemes.get(name).supports(n)]


def enumerated(name: str, n: int) -> Iterator[tuple[Case, oracles.DraftLaw, oracles.Enumeration]]:
    for case in CASES:
        law, verify = ORACLES[name](case, n)
        yield case, law, oracles.enumerate_scheme(law, verify)


@pytest.mark.parametrize(("name", "n"), SETTINGS)
def test_rates_and_losslessness(name: str, n: int) -> None:
    scheme = schemes.get(name)
    seen = set()
    for case, law, truth in enumerated(name, n):
        assert truth.output_error(case.target) <= TOLERANCE, case
        rate = scheme.acceptance(case.p, case.q, n)
        assert rate.standard_error == 0.0
        assert rate.accept == pytest.approx(float(truth.accept), abs=TOLERANCE), case
        assert rate.membership == pytest.approx(float(truth.membership), abs=TOLERANCE), case
        bound = float(oracles.optimum(case.target, law))
        assert rate.accept <= rate.membership + TOLERANCE, case
        assert rate.membership <= bound + TOLERANCE, case
        seen.add(case.kind)
    assert seen == set(KINDS)


@pytest.mark.parametrize(("name", "n"), SETTINGS)
def test_branch_probabilities(name: str, n: int) -> None:
    scheme = schemes.get(name)
    for case, _, truth in enumerated(name, n):
        for drafted, branches in truth.branches.items():
            if len(drafted) < scheme.min_drafts:
                continue
            if name == "greedy" and len(drafted) < n:
                continue  # T alone: as many drafts as tokens is another setting
            got = scheme.branch_probabilities(case.p, case.q, drafted)
            assert list(got) == list(dict.fromkeys(drafted))
            for token, probability in branches.items():
                assert got[token] == pytest.approx(float(probability), abs=1e-11), (case, drafted)


@pytest.mark.parametrize("name", ["spechub", "greedy"])
def test_optimal_for_their_own_draft_law(name: str) -> None:
    for case, law, _ in enumerated(name, 2):
        rate = schemes.get(name).acceptance(case.p, case.q, 2)
        bound = float(oracles.optimum(case.target, law))
        assert rate.membership == pytest.approx(bound, abs=TOLERANCE), case


def test_reference_rationals() -> None:
    rrs = schemes.get("rrs_with_replacement")
    p, q = [0.618, 0.354, 0.028], [0.373, 0.58, 0.047]
    assert rrs.acceptance(p, q, 2).membership == pytest.approx(169277 / 200000, abs=1e-15)
    p, q = [0.469, 0.124, 0.407], [0.201, 0.275, 0.524]
    assert rrs.acceptance(p, q, 3).membership == pytest.approx(207227133 / 250000000, abs=1e-15)


def test_oracle_itself_on_reference_rationals() -> None:
    p = (Fraction(309, 500), Fraction(177, 500), Fraction(7, 250))
    q = (Fraction(373, 1000), Fraction(29, 50), Fraction(47, 1000))
    assert oracles.optimum(p, oracles.with_replacement_law(q, 2)) == Fraction(988871, 10**6)
    p = (Fraction(469, 1000), Fraction(31, 250), Fraction(407, 1000))
    q = (Fraction(201, 1000), Fraction(11, 40), Fraction(131, 250))
    assert oracles.optimum(p, oracles.with_replacement_law(q, 3)) == 1


def test_k_seq_on_drafts_without_replacement_is_caught() -> None:
    """The oracle must be able to fail: K-SEQ is not lossless for these drafts."""
    errors = []
    for case in CASES:
        _, verify = _k_seq(case, 2)
        law = oracles.without_replacement_law(case.draft, 2)
        if all(len(d) == 2 for d in law):
            errors.append(oracles.enumerate_scheme(law, verify).output_error(case.target))
    assert max(errors) > 0.05


def test_skipping_the_update_on_a_repeated_draft_is_caught() -> None:
    """Recursive rejection that ignores a repeated rejected draft is not lossless."""
    errors = []
    for case in CASES:
        verify = oracles.recursive_rejection(case.target, case.draft, with_replacement=True)
        law = oracles.with_replacement_law(case.draft, 2)

        def skipping(drafted: tuple[int, ...], verify: Verify = verify) -> list[oracles.Outcome]:
            return list(verify(tuple(dict.fromkeys(drafted))))

        errors.append(oracles.enumerate_scheme(law, skipping).output_error(case.target))
    assert max(errors) > 0.05
