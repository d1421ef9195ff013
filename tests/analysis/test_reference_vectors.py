from __future__ import annotations

import json
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import pytest

from mdbound import bounds, schemes
from mdbound.analysis.reference_vectors import (
    PROBLEMS,
    VECTORS_FORMAT,
    read_reference_vectors,
    reference_vectors,
    write_reference_vectors,
)
from mdbound.errors import CacheError


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
    assert json.loads(before) == reference_vectors() == read_reference_vectors(path)


def test_version_1_is_read_as_not_warped_and_with_the_names_of_today(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    problem = {"schemes": [{"scheme": "naive"}, {"scheme": "k_seq"}]}
    path.write_text(json.dumps({"format_version": 1, "problems": [problem]}), encoding="utf-8")
    vectors = read_reference_vectors(path)
    assert vectors["warpers"] == bounds.Warpers().as_dict() == reference_vectors()["warpers"]
    assert [each["scheme"] for each in vectors["problems"][0]["schemes"]] == ["nss", "k_seq"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; write one with `mdbound vectors`"),
        ("[]", "holds no reference vectors"),
        ("{", "holds no reference vectors"),
        ('{"problems": []}', "holds no reference vectors"),
        ('{"format_version": 1}', "holds no reference vectors"),
        (
            f'{{"format_version": {VECTORS_FORMAT.newest + 1}}}',
            "has reference vectors format 3, this mdbound reads 1 to 2: a newer mdbound wrote it",
        ),
        ('{"format_version": 0}', "reads 1 to 2: write them again"),
    ],
)
def test_what_is_not_read_says_why(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CacheError, match=message):
        read_reference_vectors(path)
