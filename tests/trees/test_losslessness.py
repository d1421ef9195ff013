"""Random cases, every tree and every coin: laws of node and token; and wrong rules, which fail."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mdbound import trees
from tests.oracles.trees.cases import (
    REF2,
    Case,
    language_models,
    paths_case,
    uniform_models,
    with_leaves,
)
from tests.oracles.trees.verifiers import (
    CLIPPED,
    VERIFIERS,
    WRONG,
    block_law,
    expected_length,
    is_lossless,
    text_errors,
)
from tests.trees.enumeration import (
    AFTER_A_TRUNK,
    ON_BRANCHES,
    ON_PATHS,
    SIZES,
    arguments_of,
    branches_of_seed,
    check_floats,
    check_verifiers,
    paths_of_seed,
    rare_cases,
)

SEEDS = 60
RARE = 4


def three_paths(seed: int) -> Case:
    """Two tokens, two levels, three paths."""
    return paths_case(*uniform_models(seed, 2, 2), 2, 3)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_paths(seed: int) -> None:
    check_verifiers(paths_of_seed(seed), ON_PATHS)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_branches(seed: int) -> None:
    case = branches_of_seed(seed)
    check_verifiers(case, ON_BRANCHES[case.sampling])


@pytest.mark.parametrize("seed", range(RARE))
def test_other_drafts_trunks_and_topologies(seed: int) -> None:
    for case, names in rare_cases(seed):
        check_verifiers(case, names)


@pytest.mark.parametrize("seed", range(6))
def test_rows_of_floats(seed: int) -> None:
    vocab_size, length, num_paths = SIZES[seed]
    case = paths_case(*language_models(seed, vocab_size, length), length, num_paths)
    check_floats(case, ON_PATHS)


def test_every_verifier_that_can_be_run_is_enumerated() -> None:
    """But for those whose rates are no fractions, and the one with offsets to choose."""
    seen = {*ON_PATHS, *AFTER_A_TRUNK}.union(*ON_BRANCHES.values())
    others = {"k_seq", "optimal_per_node", "top_down_optimum", "quantile", "quantile_recursive"}
    assert seen == set(trees.names()) - others == set(VERIFIERS)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["traversal", "block_first_path", "gbv"])
def test_a_chain_is_block_verification(name: str, seed: int) -> None:
    case = paths_case(*uniform_models(seed, 3, 2), 2, 1)
    block = block_law(case, VERIFIERS["block_first_path"])
    assert block_law(case, VERIFIERS[name]) == block
    assert trees.block_law(*arguments_of(case), name) == block


@pytest.mark.parametrize("seed", range(6))
def test_univer_on_a_chain_is_block_verification(seed: int) -> None:
    target, draft = uniform_models(seed, 3, 2)
    block = block_law(paths_case(target, draft, 2, 1), VERIFIERS["block_first_path"])
    law = trees.Branching((1, 1), sampling="greedy")
    found = trees.block_law(target, draft, law, "univer")
    assert {one: mass for one, mass in found.items() if mass} == block


TRAPS = {
    "traversal, weight by removed mass": Fraction(5, 1296),
    "gbv, ties by draft order": Fraction(389, 103230),
}


@pytest.mark.parametrize("wrong", TRAPS)
def test_wrong_rules_on_the_reference_case(wrong: str) -> None:
    case = paths_case(*with_leaves(REF2, 2), 2, 2)
    assert max(map(abs, text_errors(case, block_law(case, WRONG[wrong])))) == TRAPS[wrong]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_rules_are_not_lossless(wrong: str) -> None:
    cases = [three_paths(seed) for seed in range(30)]
    lossy = sum(not is_lossless(case, block_law(case, WRONG[wrong])) for case in cases)
    assert lossy >= 3
    right = VERIFIERS["gbv" if wrong.startswith("gbv") else "traversal"]
    assert all(is_lossless(case, block_law(case, right)) for case in cases)


def test_leaves_as_first_seen_hide_with_two_paths() -> None:
    """Why losslessness is tested with three paths: with two the wrong order is the right one."""
    wrong, right = WRONG["traversal, leaves as first seen"], VERIFIERS["traversal"]
    for seed in range(10):
        case = paths_case(*uniform_models(seed, 2, 2), 2, 2)
        assert block_law(case, wrong) == block_law(case, right)


def test_clipped_ratios_are_lossless_and_another_rule() -> None:
    """Ties by token id in both places: what is wrong above is the ties alone."""
    lengths = []
    for seed in range(10):
        case = paths_case(*uniform_models(seed, 3, 2), 2, 2)
        clipped = block_law(case, CLIPPED)
        assert is_lossless(case, clipped)
        lengths.append(
            (expected_length(clipped), expected_length(block_law(case, VERIFIERS["gbv"])))
        )
    assert any(one != other for one, other in lengths)
