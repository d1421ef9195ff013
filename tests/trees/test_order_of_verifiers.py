"""Which verifier is never below another; and for all other pairs a case that says so, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mdbound import trees
from tests.oracles.path_verification import constant_model
from tests.oracles.trees.cases import Case, branching_case, paths_case, rows, uniform_models
from tests.oracles.trees.optimum import optimum, top_down_optimum
from tests.oracles.trees.verifiers import VERIFIERS, block_law, expected_length
from tests.trees.enumeration import PROGRAM, arguments_of, paths_of_seed


def one_row_each(
    target: tuple[int, ...], draft: tuple[int, ...], length: int, num_paths: int
) -> Case:
    """The same row after every prefix, given as whole numbers."""
    models = constant_model(rows(*target), length), constant_model(rows(*draft), length - 1)
    return paths_case(*models, length, num_paths)


@pytest.mark.parametrize("seed", range(60))
def test_traversal_is_never_below_block_and_draws_without_repeats(seed: int) -> None:
    """Found in all cases, not proved."""
    case = paths_of_seed(seed)
    lengths = {
        name: trees.expected_length(*arguments_of(case), name)
        for name in ("traversal", "block_first_path", "rrs_skip_repeats")
    }
    assert lengths["traversal"] == max(lengths.values())


@pytest.mark.parametrize("seed", range(20))
def test_traversal_is_never_below_rrs_without_replacement(seed: int) -> None:
    case = branching_case(*uniform_models(seed, 3, 2), (2, 2), "without_replacement")
    rrs, traversal = (
        trees.expected_length(*arguments_of(case), name)
        for name in ("rrs_without_replacement", "traversal")
    )
    assert rrs <= traversal


@pytest.mark.parametrize("seed", range(20))
def test_univer_is_never_below_greedy_top_down(seed: int) -> None:
    case = branching_case(*uniform_models(seed, 3, 2), (2, 2), "greedy")
    greedy, univer = (
        trees.expected_length(*arguments_of(case), name) for name in ("greedy", "univer")
    )
    assert greedy <= univer <= optimum(case, "one_call")


BELOW = {
    ("gbv", "block_first_path"): ((1, 1), (1, 1), 1, 2, "3/4", "1"),
    ("gbv", "first_draft"): ((1, 1), (1, 1), 1, 2, "3/4", "1"),
    ("gbv", "rrs_with_replacement"): ((1, 1), (1, 1), 1, 2, "3/4", "1"),
    ("gbv", "traversal"): ((1, 1), (1, 1), 1, 2, "3/4", "1"),
    ("traversal", "gbv"): ((1, 1), (1, 2), 1, 2, "8/9", "17/18"),
    ("traversal", "rrs_with_replacement"): ((0, 1, 1), (2, 0, 1), 1, 2, "7/18", "1/2"),
    ("rrs_skip_repeats", "rrs_with_replacement"): ((0, 1, 1), (2, 0, 1), 1, 2, "7/18", "1/2"),
}
"""The first is below the second: target and draft as whole numbers, L, K, both lengths."""


@pytest.mark.parametrize("pair", BELOW)
def test_no_order_between(pair: tuple[str, str]) -> None:
    *numbers, less, more = BELOW[pair]
    case = one_row_each(*numbers)  # type: ignore[arg-type]
    for name, length in zip(pair, (less, more), strict=True):
        assert expected_length(block_law(case, VERIFIERS[name])) == Fraction(str(length))
        assert trees.expected_length(*arguments_of(case), name) == Fraction(str(length))


BEST_TOKEN_BY_TOKEN = {
    ("traversal", "below"): ((1, 1), (1, 2), 1, 2, "8/9", "1"),
    ("traversal", "above"): ((1, 3), (5, 1), 2, 2, "4327/5184", "535/648"),
    ("gbv", "below"): ((1, 1), (1, 1), 1, 2, "3/4", "1"),
    ("gbv", "above"): ((1, 1), (1, 3), 2, 2, "227/128", "447/256"),
}
"""Both sides of the best rule that decides token by token."""


@pytest.mark.parametrize("key", BEST_TOKEN_BY_TOKEN)
def test_best_token_by_token_is_beaten_and_beats(key: tuple[str, str]) -> None:
    name, side = key
    *numbers, length, best = BEST_TOKEN_BY_TOKEN[key]
    case = one_row_each(*numbers)  # type: ignore[arg-type]
    assert trees.expected_length(*arguments_of(case), name) == Fraction(str(length))
    assert top_down_optimum(case) == Fraction(str(best))
    assert (Fraction(str(length)) > Fraction(str(best))) == (side == "above")
    found = trees.expected_length(*arguments_of(case), "top_down_optimum")
    assert abs(found - float(Fraction(str(best)))) < PROGRAM


def test_acceptance_at_every_node_is_not_all() -> None:
    """The rule that is best at every node ignores what its children are worth: RRS is above it."""
    case = one_row_each((0, 1, 1), (2, 0, 1), 2, 2)
    rrs = expected_length(block_law(case, VERIFIERS["rrs_with_replacement"]))
    assert rrs == top_down_optimum(case) == Fraction(37, 54)
    per_node = trees.expected_length(*arguments_of(case), "optimal_per_node")
    assert per_node < float(rrs) - 1e-3


def test_gbv_reaches_the_optimum_on_some_cases_only() -> None:
    reached = one_row_each((1, 2), (2, 1), 2, 2)
    missed = one_row_each((1, 2), (2, 1), 2, 3)
    assert trees.expected_length(*arguments_of(reached), "gbv") == optimum(reached, "one_call")
    assert trees.expected_length(*arguments_of(missed), "gbv") < optimum(missed, "one_call")
