from __future__ import annotations

import functools
import hashlib
import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.analysis.reference_vectors import (
    VECTORS_FORMAT,
    read_reference_vectors,
    write_reference_vectors,
    write_vectors_schema,
)
from mdbound.audit.ours import sampling_of
from mdbound.audit.vectors.document import reference_vectors, schema
from mdbound.audit.vectors.edges import EDGES
from mdbound.errors import CacheError

DIGEST = "1554f1eacdb86e3a136b4f968c96eb371b0b6277c0eb9c4b78c7d55c793470b4"


@functools.cache
def document(seed: int = 0, random_problems: int = 4) -> dict[str, Any]:
    return reference_vectors(seed, random_problems)


@pytest.fixture(scope="module")
def problems() -> list[dict[str, Any]]:
    return list(document()["problems"])


def test_the_probabilities_are_exact(problems: list[dict[str, Any]]) -> None:
    for problem in problems:
        for side in ("target", "draft"):
            assert sum(map(Fraction, problem[side])) == 1


def test_every_scheme_is_there_and_none_exceeds_its_bound(problems: list[dict[str, Any]]) -> None:
    for problem in problems:
        optimum = {
            (each["sampling"], each["num_drafts"]): each["acceptance"] for each in problem["bounds"]
        }
        assert {each["scheme"] for each in problem["schemes"]} == set(schemes.names()) - {
            "k_seq_membership"
        }
        for each in problem["schemes"]:
            bound = optimum[each["sampling"], each["num_drafts"]]
            assert each["accept"] - 1e-8 <= each["membership"] <= bound + 1e-8, each["scheme"]


def test_branches_add_up_to_the_target_and_the_membership(
    problems: list[dict[str, Any]],
) -> None:
    checked = 0
    for problem in problems:
        size = len(problem["target"])
        for each in problem["schemes"]:
            if not each["branches"]:
                assert sampling_of(each["scheme"]) == "hub_pairs"
                assert "point_mass_draft" in problem["edges"]
                continue
            output, inside = np.zeros(size), 0.0
            for branch in each["branches"]:
                law = {int(token): mass for token, mass in branch["output"].items()}
                assert sum(law.values()) == pytest.approx(1.0, abs=1e-8)
                for token, mass in law.items():
                    output[token] += branch["probability"] * mass
                inside += branch["probability"] * sum(
                    mass for token, mass in law.items() if token in branch["drafted"]
                )
            assert output == pytest.approx(problem["target"], abs=1e-8), each["scheme"]
            assert inside == pytest.approx(each["membership"], abs=1e-8), each["scheme"]
            checked += 1
    assert checked > 300


def test_trees_follow_from_their_steps_and_selected_paths() -> None:
    """Every verifier's law, walked coin by coin as a server would, and the target's law of all."""
    seen = 0
    for problem in document()["trees"]:
        target = problem["rows"]["target"]
        first: dict[str, Any] = {}
        lengths = dict.fromkeys(problem["expected_length"], 0.0)
        for tree in problem["trees"]:
            for name, found in tree["verifiers"].items():
                law = {(node, token): mass for node, token, mass in found["law"]}
                if found.keys() > {"law"}:
                    walked = walk_tree(found, target)
                    assert set(walked) >= set(law)
                    for outcome, mass in walked.items():
                        assert law.get(outcome, 0.0) == pytest.approx(mass, abs=1e-8), name
                    seen += 1
                output = first.setdefault(name, np.zeros(len(target[""])))
                for (node, token), mass in law.items():
                    lengths[name] += tree["probability"] * mass * len(node.split())
                    begins = int(node.split()[0]) if node else token
                    output[begins] += tree["probability"] * mass
        for name, output in first.items():
            assert output == pytest.approx(target[""], abs=1e-8), name
        # By the law of each tree here, by tails over all trees in the file: two roads to E tau.
        assert lengths == pytest.approx(problem["expected_length"], abs=1e-8)
    assert seen > 1000


def walk_tree(found: dict[str, Any], target: dict[str, list[float]]) -> dict[Any, float]:
    law: dict[Any, float] = {}
    if "selected" in found:
        for each in found["selected"]:
            for (length, token), mass in block(each["path"], each["rows"], target).items():
                place = " ".join(map(str, each["path"][:length])), token
                law[place] = law.get(place, 0.0) + each["probability"] * mass
        return law
    left = 1.0
    for step in found["steps"]:
        mass, left = left * step["accept"], left * (1 - step["accept"])
        for token, share in enumerate(step["residual"] or ()):
            if mass * share > 1e-12:
                place = step["node"], token
                law[place] = law.get(place, 0.0) + mass * share
    return law


def block(
    path: list[int], rows: list[list[float]], target: dict[str, list[float]]
) -> dict[tuple[int, int], float]:
    """Block verification of a path against given rows, in plain floats."""
    p = [target[" ".join(map(str, path[:end]))] for end in range(len(path) + 1)]
    rho, left = [1.0], []
    for length, token in enumerate(path):
        left.append(
            [max(0.0, rho[-1] * a - b) for a, b in zip(p[length], rows[length], strict=True)]
        )
        rho.append(min(1.0, rho[-1] * p[length][token] / rows[length][token]))
    left.append(p[-1])
    law: dict[tuple[int, int], float] = {}
    longer_fail = 1.0
    for length in range(len(path), -1, -1):
        total = sum(left[length])
        coin = rho[-1] if length == len(path) else total / (total + 1 - rho[length]) if total else 0
        chance = longer_fail * (coin if length else 1.0)
        longer_fail *= 1 - coin
        for token, weight in enumerate(left[length]):
            if chance * weight > 1e-12:
                law[length, token] = chance * weight / total
    return law


def test_the_document_has_its_schema(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    written = json.loads(write_vectors_schema(tmp_path / "s.json").read_text("utf-8"))
    assert written == schema()
    validator = jsonschema.Draft202012Validator(written)
    validator.check_schema(written)
    read = json.loads(json.dumps(document()))
    validator.validate(read)
    for broken in (
        {**read, "extra": 1},
        {**read, "format_version": 3},
        {**read, "trees": [{}]},
        {**read, "problems": [{**read["problems"][0], "target": [1.5]}]},
    ):
        assert not validator.is_valid(broken)


def test_the_file_is_the_same_on_every_machine() -> None:
    """The digest of what stands here; after a change on purpose, the new one is written here."""
    found = {**document()}
    found.pop("mdbound_version")
    text = json.dumps(found, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST
    other = document(seed=2)
    assert other["problems"][:14] == found["problems"][:14]
    assert other["problems"][14:] != found["problems"][14:]


def test_edges_are_marked(problems: list[dict[str, Any]]) -> None:
    named = {problem["name"]: problem["edges"] for problem in problems}
    assert named["all tied, p = q"] == ["ties", "equal"]
    assert named["nothing in common"] == ["ties", "target_zero", "draft_zero", "disjoint"]
    assert named["rows that cross"] == []
    assert {tag for tags in named.values() for tag in tags} == set(EDGES)


def test_the_file_is_json_and_the_same_every_time(tmp_path: Path) -> None:
    path = write_reference_vectors(tmp_path / "v.json")
    before = path.read_bytes()
    assert write_reference_vectors(path).read_bytes() == before
    assert json.loads(before) == document() == read_reference_vectors(path)


def test_version_1_is_read_as_not_warped_and_with_the_names_of_today(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    problem = {"schemes": [{"scheme": "naive"}, {"scheme": "k_seq"}]}
    path.write_text(json.dumps({"format_version": 1, "problems": [problem]}), encoding="utf-8")
    vectors = read_reference_vectors(path)
    assert vectors["warpers"] == bounds.Warpers().as_dict() == document()["warpers"]
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
            "has reference vectors format 5, this mdbound reads 1 to 4: a newer mdbound wrote it",
        ),
        ('{"format_version": 0}', "reads 1 to 4: write them again"),
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
    for problem in document()["block_verification"]:
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
