"""Oracle of one drafted path: every path, coin and outcome enumerated, in fractions.

Shares no code and no formula of the package: rules are walked coin by coin as a server would run
them, laws of texts come from multiplying along prefixes, and calls from enumerating every way in
which calls can write a text. Models map a prefix to a row.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypeAlias

Prefix: TypeAlias = tuple[int, ...]
Row: TypeAlias = tuple[Fraction, ...]
Model: TypeAlias = dict[Prefix, Row]
Outcomes: TypeAlias = dict[tuple[int, int], Fraction]
Rule: TypeAlias = Callable[[Model, Model, Prefix, Prefix], Outcomes]
"""From target, draft, the context where the call starts and the drafted tokens."""

ONE, ZERO = Fraction(1), Fraction(0)


def random_row(rng: random.Random, vocab_size: int) -> Row:
    """Small numerators, so that zeros and ties are common; never all zero."""
    while True:
        weights = [rng.choice((0, 1, 1, 2, 3, 5)) for _ in range(vocab_size)]
        if any(weights):
            return tuple(Fraction(w, sum(weights)) for w in weights)


def random_models(seed: int, vocab_size: int, depth: int) -> tuple[Model, Model]:
    """Context-dependent rows for all prefixes up to `depth` tokens, some equal in both models."""
    rng = random.Random(seed)
    target: Model = {}
    draft: Model = {}
    for length in range(depth + 1):
        for prefix in itertools.product(range(vocab_size), repeat=length):
            target[prefix] = random_row(rng, vocab_size)
            draft[prefix] = target[prefix] if rng.random() < 0.15 else random_row(rng, vocab_size)
    return target, draft


def constant_model(row: Row, depth: int) -> Model:
    return {
        prefix: row
        for length in range(depth + 1)
        for prefix in itertools.product(range(len(row)), repeat=length)
    }


def markov_model(rows: list[Row], first: int, depth: int) -> Model:
    """The next row depends on the last token; `first` stands before the text."""
    return {
        prefix: rows[(first, *prefix)[-1]]
        for length in range(depth + 1)
        for prefix in itertools.product(range(len(rows)), repeat=length)
    }


def mass_of(model: Model, context: Prefix, tokens: Prefix) -> Fraction:
    mass = ONE
    for place, token in enumerate(tokens):
        mass *= model[context + tokens[:place]][token]
    return mass


def paths_of(model: Model, context: Prefix, length: int) -> Iterator[tuple[Prefix, Fraction]]:
    vocab_size = len(model[()])
    for path in itertools.product(range(vocab_size), repeat=length):
        mass = mass_of(model, context, path)
        if mass:
            yield path, mass


def _emit(found: Outcomes, length: int, weights: list[Fraction], mass: Fraction) -> None:
    if not mass:
        return
    total = sum(weights)
    assert total > 0, "mass without a token to put it on"
    for y, weight in enumerate(weights):
        if weight:
            found[length, y] = found.get((length, y), ZERO) + mass * weight / total


def run_match(target: Model, draft: Model, context: Prefix, path: Prefix) -> Outcomes:
    """Sample token after token until one differs from the draft: a walk down a tree."""
    found: Outcomes = {}

    def sample(length: int, mass: Fraction) -> None:
        for y, probability in enumerate(target[context + path[:length]]):
            if not probability:
                continue
            if length < len(path) and y == path[length]:
                sample(length + 1, mass * probability)
            else:
                found[length, y] = mass * probability

    sample(0, ONE)
    return found


def run_single_draft(target: Model, draft: Model, context: Prefix, path: Prefix) -> Outcomes:
    found: Outcomes = {}
    for coins in itertools.product((True, False), repeat=len(path)):
        mass = ONE
        for place, passed in enumerate(coins):
            p, q = target[context + path[:place]], draft[context + path[:place]]
            accept = min(ONE, p[path[place]] / q[path[place]])
            mass *= accept if passed else ONE - accept
        length = next((place for place, passed in enumerate(coins) if not passed), len(path))
        p = target[context + path[:length]]
        weights = list(p)
        if length < len(path):
            q = draft[context + path[:length]]
            weights = [max(ZERO, a - b) for a, b in zip(p, q, strict=True)]
        _emit(found, length, weights, mass)
    return found


def shares(target: Model, draft: Model, context: Prefix, path: Prefix) -> list[Fraction]:
    rho = [ONE]
    for place, token in enumerate(path):
        before = context + path[:place]
        rho.append(min(ONE, rho[-1] * target[before][token] / draft[before][token]))
    return rho


def block_coins(
    target: Model, draft: Model, context: Prefix, path: Prefix
) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Acceptance of each length 0..L by block verification, and its residual weights."""
    rho = shares(target, draft, context, path)
    accept, residual = [], []
    for length in range(len(path) + 1):
        p = target[context + path[:length]]
        if length == len(path):
            accept.append(rho[length])
            residual.append(list(p))
            continue
        q = draft[context + path[:length]]
        left = [max(ZERO, rho[length] * a - b) for a, b in zip(p, q, strict=True)]
        bottom = sum(left) + 1 - rho[length]
        accept.append(sum(left) / bottom if bottom else ONE)
        residual.append(left)
    return accept, residual


def run_coins(
    accept: list[Fraction], residual: list[list[Fraction]], pick: Callable[[list[int]], int]
) -> Outcomes:
    found: Outcomes = {}
    lengths = range(1, len(accept))
    for coins in itertools.product((True, False), repeat=len(accept) - 1):
        mass = ONE
        for length, passed in zip(lengths, coins, strict=True):
            mass *= accept[length] if passed else ONE - accept[length]
        if mass:
            passing = [length for length, passed in zip(lengths, coins, strict=True) if passed]
            length = pick(passing)
            weights = residual[length] if any(residual[length]) else None
            assert weights is not None, "stopped where nothing is left"
            _emit(found, length, weights, mass)
    return found


def run_block(target: Model, draft: Model, context: Prefix, path: Prefix) -> Outcomes:
    accept, residual = block_coins(target, draft, context, path)
    return run_coins(accept, residual, lambda passing: max(passing, default=0))


def run_block_first_failure(target: Model, draft: Model, context: Prefix, path: Prefix) -> Outcomes:
    """Wrong: stops at the first test that fails, as SpS does."""
    accept, residual = block_coins(target, draft, context, path)
    full = [
        weights if any(weights) else list(target[context + path[:l]])
        for l, weights in enumerate(residual)
    ]

    def before_first_failure(passing: list[int]) -> int:
        length = 0
        while length + 1 in passing:
            length += 1
        return length

    return run_coins(accept, full, before_first_failure)


def run_block_token_residual(
    target: Model, draft: Model, context: Prefix, path: Prefix
) -> Outcomes:
    """Wrong: block acceptance with the token-wise residual (p - q)+."""
    accept, residual = block_coins(target, draft, context, path)
    for length in range(len(path)):
        p, q = target[context + path[:length]], draft[context + path[:length]]
        tokenwise = [max(ZERO, a - b) for a, b in zip(p, q, strict=True)]
        residual[length] = tokenwise if any(tokenwise) else list(p)
    return run_coins(accept, residual, lambda passing: max(passing, default=0))


def run_block_joint_last_test(
    target: Model, draft: Model, context: Prefix, path: Prefix
) -> Outcomes:
    """Wrong: the whole path is tested with min(1, p(X)/q(X)) instead of rho_L."""
    accept, residual = block_coins(target, draft, context, path)
    ratio = mass_of(target, context, path) / mass_of(draft, context, path)
    accept[-1] = min(ONE, ratio)
    full = [
        weights if any(weights) else list(target[context + path[:l]])
        for l, weights in enumerate(residual)
    ]
    return run_coins(accept, full, lambda passing: max(passing, default=0))


def run_asps(target: Model, draft: Model, context: Prefix, path: Prefix) -> Outcomes:
    """One multinomial over (length, token): masses multiplied token by token, as they pass."""
    found: Outcomes = {}
    rho = shares(target, draft, context, path)
    for length in range(len(path)):
        p, q = target[context + path[:length]], draft[context + path[:length]]
        for y in range(len(p)):
            mass = max(ZERO, rho[length] * p[y] - q[y])
            for later in range(length, len(path)):
                p_l, q_l = target[context + path[:later]], draft[context + path[:later]]
                x = path[later]
                deficit = sum(max(ZERO, b - rho[later] * a) for a, b in zip(p_l, q_l, strict=True))
                if deficit:
                    mass *= max(ZERO, q_l[x] - rho[later] * p_l[x]) / q_l[x] / deficit
            if mass:
                found[length, y] = mass
    for y, p_y in enumerate(target[context + path]):
        if rho[-1] * p_y:
            found[len(path), y] = rho[-1] * p_y
    return found


RULES: dict[str, Rule] = {
    "match": run_match,
    "single_draft": run_single_draft,
    "block": run_block,
    "asps": run_asps,
}
WRONG: dict[str, Rule] = {
    "first failure stops": run_block_first_failure,
    "token residual": run_block_token_residual,
    "joint last test": run_block_joint_last_test,
}


def output_error(rule: Rule, target: Model, draft: Model, length: int) -> Fraction:
    """Total variation over L + 1 tokens between the text after one call and the target."""
    emitted: dict[Prefix, Fraction] = {}
    for path, mass in paths_of(draft, (), length):
        for (accepted, y), probability in rule(target, draft, (), path).items():
            block = (*path[:accepted], y)
            emitted[block] = emitted.get(block, ZERO) + mass * probability
    error = ZERO
    for text in itertools.product(range(len(target[()])), repeat=length + 1):
        law = sum(
            (
                emitted.get(text[:cut], ZERO) * mass_of(target, text[:cut], text[cut:])
                for cut in range(1, length + 2)
            ),
            start=ZERO,
        )
        error += abs(law - mass_of(target, (), text))
    return error / 2


def length_law(rule: Rule, target: Model, draft: Model, length: int) -> list[Fraction]:
    law = [ZERO] * (length + 1)
    for path, mass in paths_of(draft, (), length):
        for (accepted, _), probability in rule(target, draft, (), path).items():
            law[accepted] += mass * probability
    return law


def expected_length(rule: Rule, target: Model, draft: Model, length: int) -> Fraction:
    return sum((l * mass for l, mass in enumerate(length_law(rule, target, draft, length))), ZERO)


def coupled_tail(target: Model, draft: Model, length: int) -> list[Fraction]:
    """Sum over strings of l tokens of min(p, q), l = 1..L."""
    vocab_size = len(target[()])
    return [
        sum(
            (
                min(mass_of(target, (), w), mass_of(draft, (), w))
                for w in itertools.product(range(vocab_size), repeat=level)
            ),
            ZERO,
        )
        for level in range(1, length + 1)
    ]


def calls_given_text(
    rule: Rule, target: Model, draft: Model, length: int, text: Prefix
) -> Fraction:
    """E[calls | text]: every way in which calls can write the text, weighed by its probability."""

    def ways(start: int) -> tuple[Fraction, Fraction]:
        if start >= len(text):
            return ONE, ZERO
        context, rest = text[:start], text[start:]
        mass, calls = ZERO, ZERO
        for path, drafted in paths_of(draft, context, length):
            for (accepted, y), probability in rule(target, draft, context, path).items():
                block = (*path[:accepted], y)
                if block[: len(rest)] != rest[: len(block)]:
                    continue
                later_mass, later_calls = remembered[start + len(block)]
                mass += drafted * probability * later_mass
                calls += drafted * probability * (later_mass + later_calls)
        return mass, calls

    end = len(text) + length + 1
    remembered: dict[int, tuple[Fraction, Fraction]] = {}
    for start in range(end, -1, -1):
        remembered[start] = ways(start)
    mass, calls = remembered[0]
    assert mass == mass_of(target, (), text), "the rule is not lossless on this text"
    return calls / mass


def expected_calls(rule: Rule, target: Model, draft: Model, length: int, tokens: int) -> Fraction:
    """E[calls] for N tokens: the mean over texts of the target."""
    return sum(
        (
            mass * calls_given_text(rule, target, draft, length, text)
            for text, mass in paths_of(target, (), tokens)
        ),
        ZERO,
    )
