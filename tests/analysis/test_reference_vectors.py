from __future__ import annotations

import json
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import pytest

from mdbound import schemes
from mdbound.analysis.reference_vectors import (
    PROBLEMS,
    reference_vectors,
    write_reference_vectors,
)


@pytest.fixture(scope="module")
def problems() -> list[dict[str, Any]]:
    return list(reference_vectors()["problems"])


def test_the_probabilities_are_exact() -> None:
    for pair in PROBLEMS.values():
        for row in pair:
            assert sum(map(Fraction, row)) == 1


def test_every_scheme_is_there_and_none_exceeds_its_bound(problems: list[dict[str, Any]]) -> None:
    for problem in problems:
        optimum = {
            (each["sampling"], each["num_drafts"]): each["acceptance"] for each in problem["bounds"]
        }
        assert {each["scheme"] for each in problem["schemes"]} == set(schemes.names())
        for each in problem["schemes"]:
            bound = optimum[each["sampling"], each["num_drafts"]]
            assert each["accept"] - 1e-12 <= each["membership"] <= bound + 1e-12, each["scheme"]


def test_branches_of_independent_draws_add_up_to_the_membership(
    problems: list[dict[str, Any]],
) -> None:
    checked = 0
    for problem in problems:
        for each in problem["schemes"]:
            if each["sampling"] == "with_replacement":
                total = sum(
                    prod(problem["draft"][token] for token in branch["drafted"])
                    * sum(branch["output"].values())
                    for branch in each["branches"]
                )
                assert total == pytest.approx(each["membership"], abs=1e-9), each["scheme"]
                checked += 1
    assert checked > 100


def test_the_file_is_json_and_the_same_every_time(tmp_path: Path) -> None:
    path = write_reference_vectors(tmp_path / "v.json")
    before = path.read_bytes()
    assert write_reference_vectors(path).read_bytes() == before
    assert json.loads(before) == reference_vectors()
