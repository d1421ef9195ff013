"""Optima of both classes against a program over antichains in fractions; what they are equal to."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mdbound import trees
from mdbound.errors import InvalidSettingError
from tests.oracles.path_verification import coupled_tail, mass_of
from tests.oracles.trees import prices
from tests.oracles.trees.cases import (
    REF1,
    branching_case,
    paths_case,
    prefixes,
    uniform_models,
    with_leaves,
)
from tests.oracles.trees.dice import ZERO
from tests.oracles.trees.optimum import STATES, depth_bound, optimum
from tests.oracles.trees.simplex import maximum
from tests.oracles.trees.verifiers import VERIFIERS, WRONG, block_law, expected_length
from tests.trees.enumeration import (
    ON_BRANCHES,
    ON_PATHS,
    PROGRAM,
    arguments_of,
    branches_of_seed,
    check_best_token_by_token,
    check_optima,
    paths_of_seed,
    rare_cases,
)

SEEDS = 16


@pytest.mark.parametrize("seed", range(SEEDS))
def test_paths(seed: int) -> None:
    check_optima(paths_of_seed(seed), ON_PATHS)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_branches(seed: int) -> None:
    case = branches_of_seed(seed)
    check_optima(case, ON_BRANCHES[case.sampling])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_token_by_token(seed: int) -> None:
    check_best_token_by_token(paths_of_seed(seed))
    check_best_token_by_token(branches_of_seed(seed))


@pytest.mark.parametrize("seed", range(2))
def test_other_drafts_trunks_and_topologies(seed: int) -> None:
    for case, names in rare_cases(seed):
        check_optima(case, names)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("seed", range(8))
def test_prices_prove_the_value(seed: int, state: str) -> None:
    """Evaluated by the oracle in fractions; the prices of another case prove less."""
    case = paths_of_seed(seed)
    best = optimum(case, state)
    found = trees.optimal_value(*arguments_of(case), state=state)
    exact = {node: Fraction(price) for node, price in found.prices.items()}
    bound = prices.bound(case, exact, state)
    assert best <= bound <= best + Fraction(PROGRAM)
    nodes = trees.node_sets(*arguments_of(case))
    assert trees.price_bound(case.target, nodes, exact, case.length, state) == bound
    moved = {node: price + Fraction(len(node) % 2, 7) for node, price in exact.items()}
    assert trees.price_bound(case.target, nodes, moved, case.length, state) == prices.bound(
        case, moved, state
    )


@pytest.mark.parametrize("state", STATES)
def test_other_prices_prove_less(state: str) -> None:
    """Any prices give a bound, and few give the optimum."""
    looser = []
    for seed in range(12):
        case = paths_of_seed(seed)
        nothing = dict.fromkeys(prefixes(case.vocab_size, case.length), ZERO)
        looser.append(prices.bound(case, nothing, state) > optimum(case, state))
        assert prices.bound(case, nothing, state) >= optimum(case, state)
    assert sum(looser) >= 6


def test_a_price_that_is_missing_is_no_certificate() -> None:
    """Without a node that can be drafted and reached the sum would be below the optimum."""
    case = paths_case(*uniform_models(0, 2, 2), 2, 2)
    nodes = trees.node_sets(*arguments_of(case))
    with pytest.raises(InvalidSettingError, match="price"):
        trees.price_bound(case.target, nodes, {}, case.length, "one_call")


@pytest.mark.parametrize("seed", range(10))
def test_one_path(seed: int) -> None:
    """Block verification is the best of one call; carried state reaches the joint overlap."""
    case = paths_case(*uniform_models(seed, 3, 2), 2, 1)
    overlap = sum(coupled_tail(case.target, case.drafts[0], 2), ZERO)
    block = trees.expected_length(*arguments_of(case), "block_first_path")
    assert optimum(case, "one_call") == block
    assert optimum(case, "carried") == depth_bound(case) == overlap
    assert trees.depth_bound(*arguments_of(case)) == overlap
    assert abs(trees.optimal_value(*arguments_of(case)).value - float(block)) < PROGRAM


@pytest.mark.parametrize("seed", range(10))
def test_one_level(seed: int) -> None:
    """Both classes reach the optimum of one position; so does the best rule token by token."""
    case = paths_case(*uniform_models(seed, 3, 1), 1, 2)
    bound = depth_bound(case)
    assert optimum(case, "one_call") == optimum(case, "carried") == bound
    for state in STATES:
        found = trees.optimal_value(*arguments_of(case), state=state).value
        assert abs(found - float(bound)) < PROGRAM
    for name in ("top_down_optimum", "optimal_per_node"):
        assert abs(trees.expected_length(*arguments_of(case), name) - float(bound)) < PROGRAM


@pytest.mark.parametrize("seed", range(10))
def test_fixed_trees(seed: int) -> None:
    """Nothing is left to chance: the optimum is the target's mass of the nodes, by a lookup."""
    case = branching_case(*uniform_models(seed, 3, 2), (2, 1), "top_k")
    ((tree, _),) = case.trees().items()
    mass = sum((mass_of(case.target, (), node) for node in tree.nodes()), ZERO)
    assert optimum(case, "one_call") == optimum(case, "carried") == mass
    assert trees.expected_length(*arguments_of(case), "nss") == mass
    assert abs(trees.optimal_value(*arguments_of(case)).value - float(mass)) < PROGRAM


def test_classes_and_bound_are_three() -> None:
    case = paths_case(*with_leaves(REF1, 2), 2, 2)
    values = optimum(case, "one_call"), optimum(case, "carried"), depth_bound(case)
    assert values == (Fraction(435, 256), Fraction(443, 256), Fraction(115, 64))


def test_a_rule_above_the_optimum_is_not_lossless() -> None:
    """The optimum is no vacuous bound: a wrong rule is above it."""
    above = []
    for seed in range(20):
        case = paths_case(*uniform_models(seed, 3, 2), 2, 2)
        best = optimum(case, "one_call")
        wrong = expected_length(block_law(case, WRONG["gbv, ties by draft order"]))
        right = expected_length(block_law(case, VERIFIERS["gbv"]))
        assert right <= best
        above.append(wrong > best)
    assert any(above)


def test_the_simplex_proves_its_answers() -> None:
    rows = [([Fraction(1), Fraction(2)], Fraction(4)), ([Fraction(3), Fraction(1)], Fraction(6))]
    assert maximum([Fraction(1), Fraction(1)], rows) == (
        Fraction(14, 5),
        [Fraction(8, 5), Fraction(6, 5)],
    )
