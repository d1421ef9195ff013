from __future__ import annotations

import itertools
import json
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
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
            "has reference vectors format 4, this mdbound reads 1 to 3: a newer mdbound wrote it",
        ),
        ('{"format_version": 0}', "reads 1 to 3: write them again"),
    ],
)
def test_what_is_not_read_says_why(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CacheError, match=message):
        read_reference_vectors(path)


def test_paths_follow_from_their_coins_and_residuals() -> None:
    """Every outcome of the coins, walked as a server would, gives the listed law."""
    seen = 0
    for problem in reference_vectors()["block_verification"]:
        length = problem["draft_length"]
        for each in problem["paths"]:
            law: dict[tuple[int, int], float] = {}
            for coins in itertools.product([False, True], repeat=length):
                chance = np.prod(
                    [
                        h if heads else 1.0 - h
                        for h, heads in zip(each["accept"], coins, strict=True)
                    ]
                )
                accepted = max((l + 1 for l in range(length) if coins[l]), default=0)
                if chance > 0.0:
                    for token, share in enumerate(each["residual"][accepted]):
                        key = (accepted, token)
                        law[key] = law.get(key, 0.0) + chance * share
            listed = {(l, token): mass for l, token, mass in each["law"]}
            assert set(listed) == {key for key, mass in law.items() if mass > 0.0}
            assert all(law[key] == pytest.approx(mass, abs=1e-15) for key, mass in listed.items())
            seen += 1
        # The first token that comes out has the law of the target, over all paths.
        size = len(problem["paths"][0]["rows"]["target"][0])
        marginal = np.zeros(size)
        for each in problem["paths"]:
            rows = each["rows"]["draft"]
            drafted = np.prod([row[token] for row, token in zip(rows, each["path"], strict=True)])
            for l, token, mass in each["law"]:
                marginal[each["path"][0] if l > 0 else token] += drafted * mass
        assert marginal == pytest.approx(problem["paths"][0]["rows"]["target"][0], abs=1e-15)
    assert seen > 100
