"""A second round for the path that lost: the text stays the same, and more of it is accepted.

Held for the oracle itself, at fixed points of the winner, so that it can judge a verifier of that
kind: losslessness must hold for every point, not on average only.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.oracles.trees.cases import Case, paths_case, uniform_models
from tests.oracles.trees.quantile_losers import POINTS, both_rounds, first_round
from tests.oracles.trees.verifiers import expected_length, text_errors

F = Fraction
BINS = {2: ((F(1, 2), F(1), F(2)), (F(1),)), 3: ((F(2, 3), F(3, 2)), (F(1, 2), F(1)), (F(1),))}


def case_of(seed: int) -> Case:
    vocab_size, length = ((3, 2), (2, 3))[seed % 2]
    return paths_case(*uniform_models(seed, vocab_size, length), length, 2)


@pytest.mark.parametrize("seed", range(8))
def test_the_text_stays_and_more_is_accepted(seed: int) -> None:
    case, bins = case_of(seed), BINS[2 + seed % 2]
    for point in POINTS:
        one, two = first_round(case, bins, point), both_rounds(case, bins, point)
        assert text_errors(case, one) == text_errors(case, two)
        assert expected_length(one) <= expected_length(two)


def test_a_loser_is_no_fresh_draft() -> None:
    """With the draft's own law in place of the loser's the text changes."""
    changed, longer = 0, 0
    for seed in range(0, 24, 2):
        case, bins = case_of(seed), BINS[2 + seed % 2]
        for point in POINTS[1:4]:
            one = first_round(case, bins, point)
            wrong = both_rounds(case, bins, point, truncated=False)
            changed += text_errors(case, one) != text_errors(case, wrong)
            longer += expected_length(both_rounds(case, bins, point)) > expected_length(one)
    assert changed >= 3
    assert longer >= 8
