"""What a rule may return instead of a law, and how a failing problem shrinks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mdbound import audit, schemes, trees
from mdbound.audit.exact.laws import FaultyLawError, read_law, token_reader
from mdbound.audit.numbers import exact_value, written
from mdbound.audit.problems.models import path_problems
from mdbound.audit.problems.positions import PositionProblem, position_problems
from mdbound.errors import AuditError, InvalidSettingError


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "a NoneType is no mapping"),
        (0.5, "a float is no mapping"),
        ({}, "sum to 0, not 1"),
        ({0: 0.5}, "sum to 1/2, not 1"),
        ({0: 2.0, 1: -1.0}, "of 1 is -1, below 0"),
        ({0: float("nan")}, "nan is not finite"),
        ({0: float("inf")}, "inf is not finite"),
        ({3: 1.0}, "3 is no possible outcome"),
        ({-1: 1.0}, "-1 is no possible outcome"),
        ({0.5: 1.0}, "0.5 is no possible outcome"),
        ({"x": 1.0}, "'x' is no possible outcome"),
        ({0: "half"}, "Invalid literal"),
        ({0: True}, "True is no number"),
        ({0: None}, "None is no number"),
        ([0.5, 0.5, 0.0, 0.0], "3 is no possible outcome"),
    ],
)
def test_what_is_no_law_is_said(found: Any, reason: str) -> None:
    with pytest.raises(FaultyLawError, match=reason):
        read_law(found, token_reader(3), Fraction(0))
    report = audit.exact(lambda *_: found, 1, problems=[position_problems(1)[0]])
    assert report.lossless is False
    assert report.witness is not None
    assert "the rule's law is none" in report.witness.reason


@pytest.mark.parametrize(
    "found",
    [
        {0: 1},
        {0: Fraction(1)},
        {0: "1"},
        {np.int64(0): np.float32(1.0)},
        [1.0, 0.0, 0.0],
        np.array([1.0, 0.0, 0.0]),
    ],
)
def test_numbers_of_any_kind_are_read(found: Any) -> None:
    assert read_law(found, token_reader(3), Fraction(0))[0] == 1


def test_tensors_are_read() -> None:
    torch = pytest.importorskip("torch")
    assert read_law(torch.tensor([0.25, 0.75]), token_reader(2), Fraction(0))[1] == Fraction(3, 4)


def test_a_rule_that_raises_is_named_with_the_problem() -> None:
    with pytest.raises(AuditError, match=r"ZeroDivisionError.*drafted 0"):
        audit.exact(lambda *_: 1 / 0, 1)


def always_first(target: Any, draft: Any, drafted: tuple[int, ...]) -> dict[int, float]:
    return {drafted[0]: 1.0}


def test_the_witness_is_the_smallest() -> None:
    report = audit.exact(always_first, 3)
    assert report.witness is not None
    given = report.witness.given
    assert given["num_drafts"] == 1
    assert sorted(given["target"]) == ["0", "1"]
    assert len(given["drafts"][0]) == 2


def test_a_fault_of_three_tokens_keeps_three() -> None:
    """A rule that is wrong only where three tokens are drafted of is not shrunk below that."""

    def rule(target: Any, draft: Any, drafted: tuple[int, ...]) -> Any:
        right = schemes.get("nss").output_law(target, draft, drafted)
        return {drafted[0]: 1.0} if np.count_nonzero(draft) >= 3 else right

    report = audit.exact(rule, 2)
    assert report.witness is not None
    assert len(report.witness.given["target"]) == 3
    assert report.witness.given["num_drafts"] == 1


def test_shrinking_passes_over_problems_that_a_rule_raises_on() -> None:
    def rule(target: Any, draft: Any, drafted: tuple[int, ...]) -> Any:
        if len(target) < 3:
            raise ValueError("three tokens or more")
        return {drafted[0]: 1.0}

    report = audit.exact(rule, 1)
    assert report.witness is not None
    assert len(report.witness.given["target"]) == 3


def test_witnesses_of_paths_and_trees_are_small() -> None:
    path = audit.exact_path(lambda *given: {(len(given[2]), 0): 1.0}, 3)
    assert path.witness is not None
    assert path.witness.given["length"] == 1
    law = trees.Paths(2, 1)
    tree = audit.exact_tree(lambda *given: {(given[2].first_path(), 0): 1.0}, law)
    assert tree.witness is not None
    assert len(tree.witness.given["target"][""]) == 2


@pytest.mark.parametrize(
    ("law", "reason"),
    [
        ({(2, 0): 1.0}, "lengths are 0 to 1"),
        ({(0.5, 0): 1.0}, "lengths are 0 to 1"),
        ({0: 1.0}, "no possible outcome"),
        ({(0, 9): 1.0}, "tokens are 0 to"),
    ],
)
def test_impossible_outcomes_of_paths(law: Any, reason: str) -> None:
    report = audit.exact_path(lambda *_: law, 1, problems=path_problems(1)[:1])
    assert report.witness is not None
    assert reason in report.witness.reason


def test_a_node_that_was_not_drafted_is_no_outcome() -> None:
    law = trees.Paths(1, 1)
    report = audit.exact_tree(lambda *_: {((9,), 0): 1.0}, law)
    assert report.witness is not None
    assert "no possible outcome" in report.witness.reason


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: audit.exact(always_first, 0), "`num_drafts` 0"),
        (lambda: audit.exact(always_first, 5), "`num_drafts` 5"),
        (lambda: audit.exact(always_first, True), "`num_drafts` True"),
        (lambda: audit.exact(always_first, 2, "with_replacemen"), "did you mean"),
        (lambda: audit.exact(always_first, 3, "hub_pairs"), "are 2"),
        (lambda: audit.exact_path(always_first, 5), "`draft_length` 5"),
        (lambda: audit.exact_tree(always_first, trees.Paths(4, 4)), "too many to enumerate"),
        (lambda: audit.sampled(always_first, runs=0), "`runs` 0"),
        (lambda: audit.sampled(always_first, level=2.0), "`level` 2.0"),
        (lambda: audit.assert_lossless(always_first, kind="node"), "can be position"),
        (lambda: path_problems(2, vocab_size=4), "`vocab_size` 4"),
    ],
)
def test_bad_settings_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        call()


@pytest.mark.parametrize(
    ("audited", "message"),
    [
        (lambda: audit.sampled(lambda *_: 7, 1, runs=50), "answered 7"),
        (lambda: audit.sampled(lambda *_: None, 1, runs=50), "answered None"),
        (lambda: audit.sampled(lambda *_: 0.5, 1, runs=50), "answered 0.5"),
        (lambda: audit.sampled_path(lambda *_: 0, 1, runs=50), "what is accepted"),
        (lambda: audit.sampled_path(lambda *_: (9, 0), 1, runs=50), "accepted 9 of 1"),
        (
            lambda: audit.sampled_tree(lambda *_: ((9,), 0), trees.Paths(1, 1), runs=50),
            "which is no node",
        ),
    ],
)
def test_samplers_that_answer_nonsense_are_named(audited: Callable[[], Any], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        audited()


def test_numbers_as_they_are_written() -> None:
    assert written(Fraction(0.1) + Fraction(0.2)) == "3/10"
    assert written(Fraction(1, 3)) == "1/3"
    assert written(Fraction(2) ** -80) == f"{2.0**-80:.7g}"
    assert exact_value(0.1) == Fraction(0.1) != Fraction(1, 10)


def test_a_lost_problem_would_be_seen() -> None:
    """The battery has what the page says: at V = 2 rules pass, so that all have three or more."""
    for count in (1, 2, 3):
        for problem in position_problems(count):
            assert len(problem.target) >= 3
            assert sum(problem.target) == 1 == sum(problem.drafts[0])
            assert all(Fraction(float(mass)) == mass for mass in problem.target)
    assert isinstance(position_problems(1)[0], PositionProblem)
