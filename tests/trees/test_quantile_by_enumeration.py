"""Quantile selection against every path, bin and tie, in fractions; wrong forms of it fail."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mdbound import trees
from tests.oracles.trees.cases import (
    REF1,
    TWO_TOKEN,
    Case,
    language_models,
    paths_case,
    uniform_models,
    with_leaves,
)
from tests.oracles.trees.optimum import optimum
from tests.oracles.trees.quantile import quantile, without_copies
from tests.oracles.trees.verifiers import block_law, expected_length, is_lossless, text_errors
from tests.trees.enumeration import arguments_of

F = Fraction
THREE = (F(1, 2), F(1), F(2))
TWO = (F(2, 3), F(3, 2))
UNEVEN = (F(1, 3), F(1))
LAST = (F(1),)
PINS = {
    "toy, two paths": (TWO_TOKEN, 2, 2, (THREE, LAST), "131/81"),
    "toy, three paths": (TWO_TOKEN, 2, 3, (THREE, LAST), "1289/729"),
    "REF1": (REF1, 2, 2, (THREE, LAST), "319/192"),
    "toy, three levels": (TWO_TOKEN, 3, 2, (TWO, TWO, LAST), "355/162"),
}
SIZES = (
    (3, 2, 2, (TWO, LAST)),
    (2, 3, 2, (THREE, TWO, LAST)),
    (2, 2, 3, (UNEVEN, LAST)),
    (3, 1, 3, (LAST,)),
    (3, 2, 1, (THREE, LAST)),
)
"""V, L, K and the bins."""


def case_of(seed: int) -> tuple[Case, tuple[tuple[Fraction, ...], ...]]:
    vocab_size, length, num_paths, bins = SIZES[seed % 5]
    models = (language_models if seed % 4 == 3 else uniform_models)(seed, vocab_size, length)
    return paths_case(*models, length, num_paths), bins


@pytest.mark.parametrize("name", PINS)
def test_reference_values(name: str) -> None:
    models, length, num_paths, bins, value = PINS[name]
    case = paths_case(*with_leaves(models, length), length, num_paths)
    check(case, bins)
    rule = trees.verifier("quantile", bins=bins)
    assert trees.expected_length(*arguments_of(case), rule) == Fraction(value)


@pytest.mark.parametrize("seed", range(15))
def test_random_cases(seed: int) -> None:
    check(*case_of(seed))


def check(case: Case, bins: tuple[tuple[Fraction, ...], ...]) -> None:
    expected = block_law(case, quantile(bins))
    assert is_lossless(case, expected)
    rule = trees.verifier("quantile", bins=bins)
    found = trees.block_law(*arguments_of(case), rule)
    assert {block: mass for block, mass in found.items() if mass} == expected
    mean = trees.expected_length(*arguments_of(case), rule)
    assert mean == expected_length(expected)
    assert not isinstance(mean, float)
    assert mean <= optimum(case, "one_call")


def test_one_path_is_block_verification() -> None:
    case = paths_case(*uniform_models(0, 3, 2), 2, 1)
    rule = trees.verifier("quantile", bins=(THREE, LAST))
    block = trees.block_law(*arguments_of(case), "block_first_path")
    assert trees.block_law(*arguments_of(case), rule) == block


def test_merged_copies_are_not_lossless() -> None:
    case = paths_case(*with_leaves(REF1, 2), 2, 3)
    wrong = block_law(case, quantile((THREE, LAST), without_copies))
    assert not is_lossless(case, wrong)
    assert max(map(abs, text_errors(case, wrong))) == Fraction(1, 1536)
    assert is_lossless(case, block_law(case, quantile((THREE, LAST))))


def test_the_draft_in_place_of_the_law_of_the_winner_is_not_lossless() -> None:
    lossy = 0
    for seed in range(10):
        case = paths_case(*uniform_models(seed, 2, 2), 2, 2)
        lossy += not is_lossless(case, block_law(case, quantile((THREE, LAST), against_draft=True)))
    assert lossy >= 3


def test_it_is_neither_above_nor_below_gbv_in_every_case() -> None:
    """A statement on averages: both orders occur."""
    signs = set()
    for seed in range(15):
        case, bins = case_of(seed)
        gap = trees.expected_length(
            *arguments_of(case), trees.verifier("quantile", bins=bins)
        ) - trees.expected_length(*arguments_of(case), "gbv")
        signs.add((gap > 0) - (gap < 0))
    assert {1, -1} <= signs
