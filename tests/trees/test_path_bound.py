"""The path bound in fractions: never below the optimum, tight where it should be, and its forms."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from mdbound import trees
from mdbound.errors import InvalidSettingError
from mdbound.trees.optima.path_bound.on_models import gate_prices, psi_prices
from tests.oracles.path_verification import Prefix
from tests.oracles.trees import path_bound as oracle
from tests.oracles.trees.cases import Case, language_models, paths_case, uniform_models
from tests.oracles.trees.optimum import optimum
from tests.oracles.trees.verifiers import VERIFIERS, block_law, expected_length

F = Fraction
SIZES = ((3, 2, 2), (2, 3, 2), (3, 1, 3), (2, 2, 3), (3, 2, 1), (2, 3, 1))
SEEDS = range(24)


def case_of(seed: int) -> Case:
    vocab_size, length, num_paths = SIZES[seed % len(SIZES)]
    models = (language_models if seed % 4 == 3 else uniform_models)(seed, vocab_size, length)
    return paths_case(*models, length, num_paths)


def nodes(case: Case) -> list[Prefix]:
    return [
        y
        for length in range(1, case.length + 1)
        for y in itertools.product(range(case.vocab_size), repeat=length)
    ]


def numbers(case: Case, seed: int, low: int) -> dict[Prefix, Fraction]:
    rng = random.Random(seed)
    return {node: F(rng.randint(low, 12), 8) for node in nodes(case)}


def bound(case: Case, prices: dict, chi: dict | None = None) -> Fraction:
    law = trees.Paths(case.num_paths, case.length)
    return trees.path_bound(case.target, case.drafts[0], law, prices, chi)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_prices_bound_the_optimum(seed: int) -> None:
    case = case_of(seed)
    prices = {(): F(0)} | numbers(case, seed, -4)
    chi = numbers(case, seed + 1000, -8)
    value = bound(case, prices, chi)
    assert value == oracle.path_bound(case, prices, chi)
    assert isinstance(value, Fraction)
    assert value >= optimum(case, "one_call")


def test_without_the_look_ahead_it_is_no_bound() -> None:
    """The control: a sum that leaves the correction token out falls below the optimum."""
    below = 0
    for seed in SEEDS:
        case = case_of(seed)
        prices = {(): F(0)} | dict.fromkeys(nodes(case), F(0))
        missing = bound(case, prices) - 1
        below += missing < optimum(case, "one_call")
    assert below > len(SEEDS) // 2


def test_a_martingale_that_is_not_centred_is_no_bound() -> None:
    below = 0
    for seed in range(1, 24, 6):  # L = 3
        case = case_of(seed)
        prices = {(): F(0)} | {node: F(len(node), 2) for node in nodes(case)}
        chi = dict.fromkeys(nodes(case), F(3))
        own = oracle.path_bound(case, prices, chi)
        assert own == bound(case, prices, chi)
        below += own - 3 < optimum(case, "one_call")
    assert below


@pytest.mark.parametrize("seed", SEEDS)
def test_with_the_positive_parts_it_is_the_price_bound(seed: int) -> None:
    case = case_of(seed)
    prices = {(): F(0)} | numbers(case, seed, -4)
    law = trees.Paths(case.num_paths, case.length)
    drafted = trees.node_sets(case.target, case.drafts[0], law)
    expected = trees.price_bound(case.target, drafted, prices, case.length, "one_call")
    assert bound(case, prices, oracle.best_chi(case, prices)) == expected
    other = bound(case, prices, numbers(case, seed + 1, -8))
    assert other == expected if case.length <= 2 else other >= expected


@pytest.mark.parametrize("seed", SEEDS)
def test_psi_form_is_the_martingale_bound(seed: int) -> None:
    case = case_of(seed)
    psi = numbers(case, seed, 0)
    prices = psi_prices(case.target, psi, case.length)
    value = bound(case, prices, psi)
    assert value == oracle.martingale_bound(case, psi)
    assert value >= optimum(case, "one_call")
    assert oracle.text_term(case, prices, psi) == oracle.mean_of(case, psi, ())


@pytest.mark.parametrize("seed", SEEDS)
def test_gate_form_is_exact_for_one_path(seed: int) -> None:
    case = case_of(seed)
    one = Case(case.target, case.drafts, case.length, num_paths=1)
    eta, kappa, worth, psi = oracle.block_gate(one)
    prices = gate_prices(one.target, eta, kappa, worth, psi, one.length)
    best = expected_length(block_law(one, VERIFIERS["block_first_path"]))
    assert bound(one, prices, oracle.best_chi(one, prices)) == best == optimum(one, "one_call")
    everywhere = gate_prices(one.target, eta, kappa, worth, dict.fromkeys(psi, F(1)), one.length)
    assert bound(one, everywhere, oracle.best_chi(one, everywhere)) >= best


@pytest.mark.parametrize("seed", SEEDS)
def test_gate_form_with_open_gates_is_the_psi_form(seed: int) -> None:
    case = case_of(seed)
    psi = numbers(case, seed, 0)
    worth = {
        node: oracle.mean_of(case, psi, node) if len(node) < case.length else F(0)
        for node in nodes(case)
    }
    ones = dict.fromkeys(worth, F(1))
    assert gate_prices(case.target, psi, ones, worth, psi, case.length) == psi_prices(
        case.target, psi, case.length
    )


def test_nodes_without_a_price_are_refused() -> None:
    case = case_of(0)
    with pytest.raises(InvalidSettingError, match="no price of"):
        bound(case, {})
    psi = dict.fromkeys(nodes(case), F(-1))
    with pytest.raises(InvalidSettingError, match=r"`psi` of .* is -1: give 0 or more"):
        psi_prices(case.target, psi, case.length)
    with pytest.raises(InvalidSettingError, match="`psi` has no number of"):
        psi_prices(case.target, {}, case.length)
