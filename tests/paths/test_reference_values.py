"""The two-token and the Markov example in exact rationals, by the package and by the oracle."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdbound import paths
from mdbound.errors import InvalidSettingError
from tests.oracles import path_verification as oracle

F = Fraction
P, Q = (F(1, 3), F(2, 3)), (F(2, 3), F(1, 3))
KERNEL_OF = {"match": "match", "single_draft": "single_draft", "block": "block"}

TWO_TOKEN = {
    1: ("4/9", "2/3", "2/3", "2/3"),
    2: ("52/81", "10/9", "11/9", "12/9"),
    3: ("532/729", "38/27", "45/27", "50/27"),
    4: ("5044/6561", "130/81", "166/81", "192/81"),
    5: ("46420/59049", "422/243", "576/243", "678/243"),
    6: ("421876/531441", "1330/729", "1933/729", "2340/729"),
    7: ("3813268/4782969", "4118/2187", "6327/2187", "7778/2187"),
    8: ("34384948/43046721", "12610/6561", "20384/6561", "25608/6561"),
}
MARKOV = {
    1: ("5/16", "3/4", "3/4", "3/4"),
    2: ("53/128", "43/32", "45/32", "47/32"),
    3: ("917/2048", "233/128", "253/128", "269/128"),
    4: ("7521/16384", "2257/1024", "159/64", "2763/1024"),
    5: ("121333/262144", "10295/4096", "12033/4096", "6645/2048"),
    6: ("973357/2097152", "90531/32768", "109661/32768", "30791/8192"),
}
SCHEMES = ("match", "single_draft", "block", "joint")
EIGHTHS = [tuple(F(w, 8) for w in row) for row in ((4, 2, 2), (2, 4, 2), (1, 3, 4))]
EIGHTHS_DRAFT = [tuple(F(w, 8) for w in row) for row in ((2, 4, 2), (4, 2, 2), (2, 2, 4))]


def two_token(depth: int) -> tuple[oracle.Model, oracle.Model]:
    return oracle.constant_model(P, depth), oracle.constant_model(Q, depth)


def markov(depth: int) -> tuple[oracle.Model, oracle.Model]:
    return oracle.markov_model(EIGHTHS, 0, depth), oracle.markov_model(EIGHTHS_DRAFT, 0, depth)


def mean(law: list[Fraction]) -> Fraction:
    return sum((l * mass for l, mass in enumerate(law)), F(0))


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("scheme", [0, 1, 2, 3])
def test_two_token_means(length: int, scheme: int) -> None:
    target, draft = two_token(length)
    name = SCHEMES[scheme]
    expected = F(TWO_TOKEN[length][scheme])
    assert mean(paths.length_law(target, draft, length, name)) == expected
    if name == "joint":
        assert sum(oracle.coupled_tail(target, draft, length)) == expected
    elif length <= 4:
        assert oracle.expected_length(oracle.RULES[name], target, draft, length) == expected


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("scheme", [0, 1, 2, 3])
def test_markov_means(length: int, scheme: int) -> None:
    target, draft = markov(length)
    name = SCHEMES[scheme]
    expected = F(MARKOV[length][scheme])
    assert mean(paths.length_law(target, draft, length, name)) == expected
    assert target_side_mean(target, draft, length, name) == pytest.approx(
        float(expected), abs=1e-12
    )


def target_side_mean(target: oracle.Model, draft: oracle.Model, length: int, name: str) -> float:
    """E[tau] from target text alone: the closed form on every text, weighed by its law."""
    texts = list(oracle.paths_of(target, (), length))
    lp, lq = log_probabilities(target, draft, [text for text, _ in texts])
    tails = paths.accepted_tail(lp, lq, name)
    return float(np.array([float(mass) for _, mass in texts]) @ tails.sum(axis=1))


def log_probabilities(
    target: oracle.Model, draft: oracle.Model, texts: list[oracle.Prefix]
) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore"):
        lp, lq = (
            np.log([[float(m[t[:i]][t[i]]) for i in range(len(t))] for t in texts])
            for m in (target, draft)
        )
    return lp, lq


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("scheme", [0, 1, 2, 3])
def test_two_token_means_from_text_alone(length: int, scheme: int) -> None:
    target, draft = two_token(length)
    found = target_side_mean(target, draft, length, SCHEMES[scheme])
    assert found == pytest.approx(float(F(TWO_TOKEN[length][scheme])), abs=1e-12)


@pytest.mark.parametrize(
    ("scheme", "tail"),
    [
        ("single_draft", ("2/3", "4/9", "8/27")),
        ("block", ("2/3", "5/9", "4/9")),
        ("asps", ("2/3", "5/9", "4/9")),
        ("joint", ("2/3", "2/3", "14/27")),
    ],
)
def test_tails_at_length_three(scheme: str, tail: tuple[str, ...]) -> None:
    law = paths.length_law(*two_token(3), 3, scheme)
    assert [sum(law[l:]) for l in (1, 2, 3)] == [F(one) for one in tail]


@pytest.mark.parametrize(
    ("path", "single_draft", "block"),
    [
        ((0, 0), ("1/2", "1/4", "1/4"), ("3/4", "0", "1/4")),
        ((0, 1), ("1/2", "0", "1/2"), ("0", "0", "1")),
        ((1, 0), ("0", "1/2", "1/2"), ("0", "1/2", "1/2")),
        ((1, 1), ("0", "0", "1"), ("0", "0", "1")),
    ],
)
def test_lengths_given_the_path(
    path: tuple[int, ...], single_draft: tuple[str, ...], block: tuple[str, ...]
) -> None:
    wanted = {"single_draft": single_draft, "block": block, "asps": block}
    for scheme, law in wanted.items():
        found = [F(0)] * 3
        for (length, _), mass in paths.kernel(*two_token(2), path, scheme).items():
            found[length] += mass
        assert found == [F(one) for one in law], scheme


CALLS = {
    2: {
        "match": {3: "19/9", 4: "2008/729", 5: "22037/6561", 6: "26002/6561"},
        "single_draft": {3: "5/3", 4: "62/27", 5: "221/81", 6: "256/81"},
        "block": {3: "14/9", 4: "20/9", 5: "215/81", 6: "728/243"},
    },
    1: {"single_draft": {3: "19/9", 4: "70/27"}, "block": {3: "19/9", 4: "70/27"}},
    3: {"single_draft": {5: "205/81"}, "block": {5: "191/81"}},
}


@pytest.mark.parametrize(
    ("length", "scheme", "tokens", "calls"),
    [
        (l, s, n, c)
        for l, rules in CALLS.items()
        for s, row in rules.items()
        for n, c in row.items()
    ],
)
def test_expected_calls_over_texts(length: int, scheme: str, tokens: int, calls: str) -> None:
    target, draft = two_token(tokens + length)
    texts = list(oracle.paths_of(target, (), tokens))
    lp, lq = log_probabilities(target, draft, [text for text, _ in texts])
    found = sum(
        float(mass) * paths.expected_calls(one, other, length, scheme)
        for (_, mass), one, other in zip(texts, lp, lq, strict=True)
    )
    assert found == pytest.approx(float(F(calls)), abs=1e-12)
    if tokens <= 4:
        rule = oracle.RULES[scheme]
        assert oracle.expected_calls(rule, target, draft, length, tokens) == F(calls)


@pytest.mark.parametrize(
    ("text", "length", "calls"),
    [
        ("BABABB", 2, ("313/81", "3", "11/4")),
        ("BABABB", 3, ("911/243", "23/8", "11/4")),
        ("ABABB", 3, ("247/81", "9/4", "2")),
    ],
)
def test_expected_calls_of_a_text(text: str, length: int, calls: tuple[str, ...]) -> None:
    tokens = tuple("AB".index(letter) for letter in text)
    target, draft = two_token(len(tokens) + length)
    ((lp,), (lq,)) = log_probabilities(target, draft, [tokens])
    for scheme, value in zip(SCHEMES, calls, strict=False):
        rule = oracle.RULES[scheme]
        assert oracle.calls_given_text(rule, target, draft, length, tokens) == F(value)
        found = paths.expected_calls(lp, lq, length, scheme)
        assert found == pytest.approx(float(F(value)), abs=1e-12)


def test_joint_has_no_calls() -> None:
    with pytest.raises(InvalidSettingError, match="'joint' has tails and no calls"):
        paths.expected_calls(np.log([0.5, 0.5]), np.log([0.5, 0.5]), 1, "joint")


def test_call_starts_are_not_all_positions() -> None:
    """Drafting is bad after B and good after A: the mean over positions is above the truth."""
    half = (F(1, 2), F(1, 2))
    rows = [half, (F(1), F(0))]
    for length, positions, per_call in ((2, F(19, 8), F(31, 14)), (3, F(23, 8), F(145, 56))):
        tokens = 4000
        rng = np.random.default_rng(length)
        text = rng.integers(0, 2, tokens)
        lp = np.full(tokens, np.log(0.5))
        previous = np.concatenate([[0], text[:-1]])
        with np.errstate(divide="ignore"):
            lq = np.log([float(rows[a][b]) for a, b in zip(previous, text, strict=True)])
        tally = paths.tally_text(lp, lq, length, "block")
        at_positions = 1 + tally.tail_positions.sum()
        # Standard errors of both means are about 0.02.
        assert at_positions == pytest.approx(float(positions), abs=0.1)
        assert tally.tokens_per_call == pytest.approx(float(per_call), abs=0.1)
        assert abs(at_positions - float(per_call)) > 0.1
