"""Theorems T3 and T5 against linear programs over all rules, and the programs' rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdbound import paths
from mdbound.errors import InvalidSettingError
from tests.oracles import carried_state
from tests.oracles import path_verification as oracle

F = Fraction
TIGHT = 1e-9
"""HiGHS works with a feasibility tolerance of 1e-10."""


def two_token(depth: int) -> tuple[oracle.Model, oracle.Model]:
    return (
        oracle.constant_model((F(1, 3), F(2, 3)), depth),
        oracle.constant_model((F(2, 3), F(1, 3)), depth),
    )


def mean(target: oracle.Model, draft: oracle.Model, length: int, scheme: str) -> float:
    law = paths.length_law(target, draft, length, scheme)
    return float(sum(l * mass for l, mass in enumerate(law)))


@pytest.mark.parametrize("part", range(4))
def test_block_accepts_most_of_all_stateless_rules(part: int) -> None:
    """T3, on 60 models; the coupling optimum and SpS are other numbers on many of them."""
    below = above = 0
    for seed in range(15 * part, 15 * (part + 1)):
        vocab_size, length = ((2, 2), (3, 2), (2, 3), (3, 1))[seed % 4]
        target, draft = oracle.random_models(seed, vocab_size, length)
        found = paths.most_accepted(target, draft, length)
        assert found == pytest.approx(mean(target, draft, length, "block"), abs=TIGHT), seed
        below += mean(target, draft, length, "single_draft") < found - 1e-3
        above += mean(target, draft, length, "joint") > found + 1e-3
    assert below >= 2
    assert above >= 1


@pytest.mark.parametrize("part", range(4))
def test_block_needs_the_fewest_calls_of_all_stateless_rules(part: int) -> None:
    """T5, on 60 models; with memory fewer are possible on many of them."""
    more = fewer = 0
    for seed in range(15 * part, 15 * (part + 1)):
        vocab_size, length, tokens = ((2, 2, 4), (2, 1, 4), (2, 3, 4), (3, 1, 3), (3, 2, 3))[
            seed % 5
        ]
        target, draft = oracle.random_models(1000 + seed, vocab_size, tokens + length)
        calls = {
            scheme: float(
                oracle.expected_calls(oracle.RULES[scheme], target, draft, length, tokens)
            )
            for scheme in ("block", "single_draft")
        }
        fresh = paths.fewest_calls(target, draft, length, tokens)
        carried = paths.fewest_calls(target, draft, length, tokens, state="carried")
        assert fresh == pytest.approx(calls["block"], abs=TIGHT), seed
        assert carried <= fresh + TIGHT
        more += calls["single_draft"] > fresh + 1e-3
        fewer += carried < fresh - 1e-3
    assert more >= 1
    assert fewer >= 1


@pytest.mark.parametrize(
    ("length", "tokens", "fresh", "carried"),
    [
        (2, 3, "14/9", "14/9"),
        (2, 4, "20/9", "58/27"),
        (2, 5, "215/81", "208/81"),
        (2, 6, "728/243", "236/81"),
        (1, 3, "19/9", "2"),
        (1, 4, "70/27", "68/27"),
        (3, 5, "191/81", "182/81"),
    ],
)
def test_two_token_calls(length: int, tokens: int, fresh: str, carried: str) -> None:
    target, draft = two_token(tokens)
    found = paths.fewest_calls(target, draft, length, tokens, state="carried")
    assert found == pytest.approx(float(F(carried)), abs=TIGHT)
    found = paths.fewest_calls(target, draft, length, tokens)
    assert found == pytest.approx(float(F(fresh)), abs=TIGHT)


def test_two_token_length() -> None:
    target, draft = two_token(2)
    found = paths.most_accepted(target, draft, 2)
    assert found == pytest.approx(11 / 9, abs=TIGHT)
    assert abs(found - 12 / 9) > 0.1  # what a test of the whole path by its joint ratio claims


def test_refusals() -> None:
    target, draft = two_token(2)
    with pytest.raises(InvalidSettingError, match="`tokens` is 0"):
        paths.fewest_calls(target, draft, 1, 0)
    with pytest.raises(InvalidSettingError, match="`state` 'kept' is unknown"):
        paths.fewest_calls(target, draft, 1, 2, state="kept")
    with pytest.raises(InvalidSettingError, match="`target` has no row"):
        paths.fewest_calls(target, draft, 1, 5)


def test_calls_counted_from_the_coupling_would_be_below_every_rule() -> None:
    """Why `joint` is refused: its tails in the recursion give less than any memory reaches."""
    target, draft = two_token(5)
    calls = 0.0
    for text, mass in oracle.paths_of(target, (), 3):
        lp, lq = (np.log([float(m[text[:i]][text[i]]) for i in range(3)]) for m in (target, draft))
        calls += float(mass) * float(paths.call_starts(paths.text_tail(lp, lq, 2, "joint")).sum())
    assert calls == pytest.approx(13 / 9, abs=1e-12)
    assert paths.fewest_calls(target, draft, 2, 3, state="carried") > calls + 0.1


P, Q = (F(1, 3), F(2, 3)), (F(2, 3), F(1, 3))


@pytest.mark.parametrize(
    ("tokens", "calls"), [(3, "14/9"), (4, "7/3"), (5, "221/81"), (6, "743/243")]
)
def test_the_coupling_optimum_pays_later(tokens: int, calls: str) -> None:
    """Its first call is the best there is, its text the target's; its calls are not the fewest."""
    law = carried_state.written(P, Q, 2, tokens)
    assert law == dict(oracle.paths_of(oracle.constant_model(P, tokens), (), tokens))
    first = carried_state.call(P, Q, {}, 2)
    assert sum(mass * (len(block) - 1) for block, mass, _ in first) == F(4, 3)
    found = carried_state.expected_calls(P, Q, 2, tokens)
    assert found == F(calls)
    best = paths.fewest_calls(*two_token(tokens), 2, tokens, state="carried")
    assert best <= float(found) + TIGHT
    if tokens > 3:
        assert paths.fewest_calls(*two_token(tokens), 2, tokens) < float(found) + TIGHT
        assert best < float(found) - 1e-3
