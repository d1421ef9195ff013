"""Topologies on a text: what a rule reaches there is what enumeration of all trees says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mdbound import trees
from mdbound.analysis.trees.topology_search.on_text import by_depth, pooled, value_on_text
from mdbound.analysis.trees.topology_search.search_capture import SearchSetting, search_budget
from mdbound.analysis.trees.topology_search.slot_draws import SlotDraws, draw_slots
from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import strings
from mdbound.trees.verifiers.node_rules import NODE_RULES

P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
RULES = {rule.name: rule for rule in NODE_RULES}
UNEVEN = trees.topology_from_json("[[0], [1], [0, 0], [0, 1], [0, 0, 0]]")
CASES = [
    ("nss", "top_k"),
    ("nss", "with_replacement"),
    ("rrs_with_replacement", "with_replacement"),
    ("rrs_skip_repeats", "with_replacement"),
    ("rrs_without_replacement", "without_replacement"),
    ("optimal_per_node", "with_replacement"),
    ("k_seq", "with_replacement"),
    ("greedy", "greedy"),
]
RUN = 40


def text_draws(rule: str, sampling: str, positions: int, seed: int = 0) -> SlotDraws:
    """Text of a target with one row everywhere, in documents of `RUN` tokens."""
    rng = np.random.default_rng(seed)
    tokens = rng.choice(3, size=positions, p=P)
    rows = [draw_slots(P, Q, int(token), RULES[rule], sampling, 2, rng) for token in tokens]
    by_slot, of_text = (np.stack(each) for each in zip(*rows, strict=True))
    places = np.arange(positions)
    return SlotDraws(by_slot, of_text, places // RUN, places % RUN == 0)


@pytest.mark.parametrize(("rule", "sampling"), CASES)
def test_value_on_text_is_that_of_all_trees(rule: str, sampling: str) -> None:
    nodes = [node for depth in range(4) for node in strings(3, depth)]
    models = [dict.fromkeys(nodes, tuple(row.tolist())) for row in (P, Q)]
    expected = float(
        trees.expected_length(models[0], models[1], trees.Branching(UNEVEN, sampling), rule)
    )
    value = value_on_text(UNEVEN, text_draws(rule, sampling, 4000))
    assert value.standard_error is not None
    assert value.standard_error < 0.05
    assert abs(value.expected_length - expected) < 5 * value.standard_error
    assert all(a > b for a, b in pairwise(value.by_depth))


def test_another_rule_is_told_apart() -> None:
    """The control: values of two rules differ by many standard errors."""
    one, other = (
        value_on_text(UNEVEN, text_draws(rule, "with_replacement", 4000))
        for rule in ("optimal_per_node", "nss")
    )
    assert one.standard_error is not None
    assert one.expected_length - other.expected_length > 5 * one.standard_error


def test_windows_do_not_leave_their_text() -> None:
    draws = text_draws("nss", "top_k", 3 * RUN)
    assert value_on_text(trees.topology("1x3"), draws).starts == 3 * (RUN - 2)
    assert value_on_text(trees.topology("1x1"), draws).starts == 3 * RUN


def test_search_finds_a_tree_that_is_as_good_as_any_other_on_the_text() -> None:
    draws = text_draws("rrs_without_replacement", "without_replacement", 4000)
    setting = SearchSetting("rrs_without_replacement", "d", max_depth=3, max_children=2)
    found = search_budget(draws, setting, 4)
    best, value = found.best
    assert best.size == 4
    others = ["[[0],[1],[0,0],[1,0]]", "[[0],[0,0],[0,1],[0,0,0]]", "[[0],[1],[0,0],[0,1]]"]
    for other in others:
        rival = value_on_text(trees.topology_from_json(other), draws)
        assert value.standard_error is not None
        assert rival.expected_length < value.expected_length + 2 * value.standard_error
    # One row everywhere: weights by depth change the means by noise alone.
    for level in by_depth(draws, found.pooled_value):
        assert level[1, :2] == pytest.approx(pooled(draws)[1, :2], abs=0.06)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="no rule of one position"):
        SearchSetting("traversal", "d").found_rule()
    with pytest.raises(InvalidSettingError, match="is not for 'k_seq'"):
        SearchSetting("k_seq", "d", sampling="greedy").found_sampling()
    with pytest.raises(InvalidSettingError, match="unknown"):
        draw_slots(P, Q, 0, RULES["nss"], "top_p", 2, np.random.default_rng(0))
