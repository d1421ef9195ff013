"""The losers of a quantile selection: the text keeps its law at every point of the winner."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from mdbound import trees
from mdbound.errors import InvalidSettingError
from mdbound.trees.seeded_models import seeded_pair
from mdbound.trees.verifiers.quantile.point_law import PointLaw
from mdbound.trees.verifiers.quantile.recursive import QuantileRecursive
from mdbound.trees.verifiers.rows import RowArrays
from tests.oracles.trees.cases import Case, language_models, paths_case, uniform_models
from tests.oracles.trees.node_by_node import Block
from tests.oracles.trees.quantile import Bins
from tests.oracles.trees.quantile_losers import (
    POINTS,
    add,
    both_rounds,
    first_round,
    given_the_winner,
)
from tests.oracles.trees.verifiers import expected_length, text_errors

F = Fraction
BINS: dict[int, Bins] = {
    2: ((F(1, 2), F(1), F(2)), (F(1),)),
    3: ((F(2, 3), F(3, 2)), (F(1, 2), F(1)), (F(1),)),
}
SIZES = ((3, 2), (2, 3), (3, 3), (2, 2), (3, 1))


def case_of(seed: int) -> tuple[Case, Bins]:
    """Two paths; zeros and ties come with integer weights."""
    vocab_size, length = SIZES[seed % 5]
    models = (language_models if seed % 4 == 3 else uniform_models)(seed, vocab_size, length)
    return paths_case(*models, length, 2), BINS.get(length, ((F(1),),))


def law_at(case: Case, bins: Bins, point: Fraction) -> dict[Block, Fraction]:
    """Of the package's verifier, given the winner's point: over both paths, coins summed over."""
    at, below = given_the_winner(case, bins, point)
    rule = QuantileRecursive(bins)
    rows = RowArrays(case.target, "target"), RowArrays(case.drafts[0], "draft")
    found: dict[Block, Fraction] = {}
    for winner, loser in itertools.product(at, below):
        share = at[winner] * below[loser]
        if not share:
            continue
        # Of the loser it matters that it lost; it is alone in its round.
        points = [[point] * case.length, [F(0)] * case.length]
        for stop in rule.stops(*rows, [winner, loser], points):
            total = stop.weights.sum()
            outcomes = {
                (stop.node, t): stop.mass * w / total for t, w in enumerate(stop.weights) if w
            }
            add(found, outcomes, share)
    return found


@pytest.mark.parametrize("seed", range(15))
def test_in_fractions_at_fixed_points_of_the_winner(seed: int) -> None:
    case, bins = case_of(seed)
    for point in POINTS[seed % 2 :: 2]:
        found = law_at(case, bins, point)
        assert all(isinstance(mass, Fraction) for mass in found.values())
        assert found == both_rounds(case, bins, point)
        one = first_round(case, bins, point)
        assert text_errors(case, found) == text_errors(case, one)
        assert expected_length(found) >= expected_length(one)


def test_losers_as_if_they_had_not_lost_change_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: their losing is information, and their law must be cut off at the winner."""
    monkeypatch.setattr(PointLaw, "below", lambda self, _: self)
    changed = 0
    for seed in (0, 1, 4, 5, 6, 10):
        case, bins = case_of(seed)
        for point in POINTS[1:4]:
            wrong, one = law_at(case, bins, point), first_round(case, bins, point)
            changed += text_errors(case, wrong) != text_errors(case, one)
    assert changed >= 6


def text_p_value(target: Any, texts: Counter[tuple[int, ...]], vocab: int, length: int) -> float:
    """Chi-square of texts of L + 1 tokens against the target's law."""
    runs, observed, expected = sum(texts.values()), [], []
    for text in itertools.product(range(vocab), repeat=length + 1):
        mass = math.prod(target[text[:d]][text[d]] for d in range(length + 1))
        observed.append(texts[text])
        expected.append(mass * runs)
    small = np.array(expected) < 5
    pooled = [
        np.append(np.array(x)[~small], np.array(x)[small].sum()) for x in (observed, expected)
    ]
    return float(chisquare(pooled[0] + 1e-9, pooled[1] + 1e-9, sum_check=False).pvalue)


def test_three_paths_keep_the_text_in_runs() -> None:
    """Third rounds, which no fixed point covers; another target is noticed."""
    vocab, length, runs = 3, 2, 4000
    target, draft = seeded_pair("language", vocab, length, 71, 1)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    rule, rng = trees.runnable_verifier("quantile_recursive"), np.random.default_rng(5)
    texts: Counter[tuple[int, ...]] = Counter()
    for _ in range(runs):
        paths = []
        for _ in range(3):
            path: tuple[int, ...] = ()
            while len(path) < length:
                path = (*path, int(rng.choice(vocab, p=np.array(draft[path], dtype=float))))
            paths.append(path)
        node, token = rule.sample(*rows, trees.tree_of_paths(paths), rng)
        text = (*node, token)
        while len(text) < length + 1:
            text = (*text, int(rng.choice(vocab, p=np.array(target[text], dtype=float))))
        texts[text] += 1
    assert text_p_value(target, texts, vocab, length) > 1e-3
    assert text_p_value(draft, texts, vocab, length) < 1e-6


def test_one_path_has_no_losers() -> None:
    target, draft = seeded_pair("language", 3, 2, 72, 0)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    one, block = (
        trees.runnable_verifier(name) for name in ("quantile_recursive", "block_first_path")
    )
    for tree, _ in trees.Paths(1, 2).trees(draft):
        found, expected = one.outcomes(*rows, tree), block.outcomes(*rows, tree)
        for outcome in {*found, *expected}:
            one_mass, other = found.get(outcome, 0.0), expected.get(outcome, 0.0)
            assert float(one_mass) == pytest.approx(float(other), abs=1e-12)


def test_more_is_accepted_on_most() -> None:
    """Strictly, at some point of the winner."""
    longer = 0
    for seed in (0, 1, 3, 5, 6):
        case, bins = case_of(seed)
        pairs = [
            (law_at(case, bins, point), first_round(case, bins, point)) for point in POINTS[2:4]
        ]
        longer += any(expected_length(two) > expected_length(one) for two, one in pairs)
    assert longer >= 3


def test_runs_and_estimates_agree() -> None:
    target, draft = seeded_pair("language", 3, 2, 73, 1)
    rows = RowArrays(target, "target"), RowArrays(draft, "draft")
    rule = trees.runnable_verifier("quantile_recursive", draws=300)
    tree = trees.tree_of_paths([(0, 1), (0, 2), (1, 1)])
    rng, runs = np.random.default_rng(0), 2500
    lengths = [len(rule.sample(*rows, tree, rng)[0]) for _ in range(runs)]
    tail = rule.tail(*rows, tree)
    assert np.mean(lengths) == pytest.approx(sum(tail), abs=4 * np.std(lengths) / runs**0.5 + 0.03)
    again = trees.runnable_verifier("quantile_recursive", draws=300)
    assert again.tail(*rows, tree) == tail  # seeded by the paths


def test_what_is_refused() -> None:
    target, draft = seeded_pair("language", 2, 1, 0, 0)
    with pytest.raises(InvalidSettingError, match="`draws` is 0"):
        trees.verifier("quantile_recursive", draws=0)
    for ask in (trees.expected_length, trees.block_law):
        with pytest.raises(InvalidSettingError, match="no closed form over all trees"):
            ask(target, draft, trees.Paths(2, 1), "quantile_recursive")
