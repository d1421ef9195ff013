"""The two-token example, two small cases and trees of six nodes, in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mdbound import trees
from tests.oracles.trees.cases import (
    REF1,
    REF2,
    TWO_TOKEN,
    Case,
    branching_case,
    paths_case,
    with_leaves,
)
from tests.oracles.trees.optimum import depth_bound, optimum, top_down_optimum
from tests.oracles.trees.verifiers import VERIFIERS, block_law, expected_length
from tests.trees.enumeration import PROGRAM, arguments_of

COLUMNS = (
    "nss",
    "first_draft",
    "rrs_with_replacement",
    "rrs_skip_repeats",
    "block_first_path",
    "gbv",
    "traversal",
)
MODELS = {"toy": TWO_TOKEN, "REF1": REF1, "REF2": REF2}
PATHS = {
    ("toy", 1): "4/3 4/3 11/9 52/81 10/9 10/9 10/9 11/9 11/9 11/9",
    ("toy", 2): "134/81 134/81 131/81 82/81 4/3 4/3 4/3 11/9 131/81 115/81",
    ("toy", 3): "1351/729 1351/729 1351/729 8200/6561 1087/729 1087/729 1087/729 11/9 1289/729"
    " 1136/729",
    ("REF1", 2): "115/64 443/256 435/256 567/512 357/256 357/256 357/256 21/16 435/256 377/256",
    ("REF1", 3): "7889/4096 7673/4096 7673/4096 5403/4096 6307/4096 6307/4096 6307/4096 21/16"
    " 7033/4096 6507/4096",
}
"""S, optimum with carried state, optimum of one call, and the verifiers in order; L = 2."""
BRANCHES = {
    "without_replacement": (
        "11/6",
        "259/144",
        {"rrs_without_replacement": "119/81", "traversal": "119/81", "nss": "871/864"},
    ),
    "with_replacement": (
        "29/18",
        "2011/1296",
        {"rrs_with_replacement": "433/324", "traversal": "112/81"},
    ),
    "greedy": ("5/3", "29/18", {"univer": "29/18", "greedy": "29/18"}),
}
"""Optimum with carried state, of one call, and verifiers; two children and two of each, REF2."""
TOP_DOWN = {
    ("toy", 2): "128/81",
    ("toy", 3): "446/243",
    ("REF1", 2): "423/256",
    ("REF2", 2): "1903/1296",
}


def paths(name: str, num_paths: int) -> Case:
    return paths_case(*with_leaves(MODELS[name], 2), 2, num_paths)


def branches(sampling: str) -> Case:
    return branching_case(*with_leaves(REF2, 2), (2, 2), sampling)


@pytest.mark.parametrize("key", PATHS)
def test_paths(key: tuple[str, int]) -> None:
    case = paths(*key)
    bound, carried, one_call, *lengths = (Fraction(text) for text in PATHS[key].split())
    assert trees.depth_bound(*arguments_of(case)) == depth_bound(case) == bound
    check_optima(case, carried, one_call)
    for name, length in zip(COLUMNS, lengths, strict=True):
        check_length(case, name, length)


@pytest.mark.parametrize("sampling", BRANCHES)
def test_branches(sampling: str) -> None:
    carried, one_call, lengths = BRANCHES[sampling]
    check_optima(branches(sampling), Fraction(carried), Fraction(one_call))
    for name, length in lengths.items():
        check_length(branches(sampling), name, Fraction(length))


@pytest.mark.parametrize("key", TOP_DOWN)
def test_best_rule_token_by_token(key: tuple[str, int]) -> None:
    case = paths(*key)
    best = Fraction(TOP_DOWN[key])
    assert top_down_optimum(case) == best
    found = trees.expected_length(*arguments_of(case), "top_down_optimum")
    assert abs(found - float(best)) < PROGRAM


def check_optima(case: Case, carried: Fraction, one_call: Fraction) -> None:
    for state, value in (("carried", carried), ("one_call", one_call)):
        assert optimum(case, state) == value
        found = trees.optimal_value(*arguments_of(case), state=state)
        assert abs(found.value - float(value)) < PROGRAM


def check_length(case: Case, name: str, length: Fraction) -> None:
    assert expected_length(block_law(case, VERIFIERS[name])) == length, name
    assert trees.expected_length(*arguments_of(case), name) == length, name
