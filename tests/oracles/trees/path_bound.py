"""The path bound by products of drafted paths and whole texts, and hats by interpolation.

Every list of K paths is enumerated, and every text of L tokens with its probability; the last
token is no sum of its own but part of the text.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from tests.oracles.path_verification import Prefix, mass_of
from tests.oracles.trees.cases import Case
from tests.oracles.trees.dice import ZERO, Number

Numbers = Mapping[Prefix, Number]


def path_bound(case: Case, prices: Numbers, chi: Numbers) -> Number:
    """E of the largest price, less the context's, and E of R_0 over texts."""
    return drafted_term(case, prices) + text_term(case, prices, chi)


def drafted_term(case: Case, prices: Numbers) -> Number:
    strings = list(itertools.product(range(case.vocab_size), repeat=case.length))
    masses = {y: mass_of(case.drafts[0], (), y) for y in strings}
    total = ZERO
    for chosen in itertools.product([y for y in strings if masses[y]], repeat=case.num_paths):
        nodes = {y[:l] for y in chosen for l in range(case.length + 1)}
        worth = max(prices[node] for node in nodes)
        total += math.prod((masses[y] for y in chosen), start=ZERO + 1) * worth
    return total - prices[()]


def text_term(case: Case, prices: Numbers, chi: Numbers) -> Number:
    total = ZERO
    for y in itertools.product(range(case.vocab_size), repeat=case.length):
        mass = mass_of(case.target, (), y)
        if not mass:
            continue
        # The last token is averaged before what stands above it is cut at zero.
        value = mean_last(case, prices, y[:-1])
        for d in range(case.length - 2, -1, -1):
            value = max(ZERO, 1 + prices[y[:d]] - prices[y[: d + 1]] + value)
            if d:
                value -= chi[y[: d + 1]] - mean_of(case, chi, y[:d])
        total += mass * value
    return total


def mean_last(case: Case, prices: Numbers, node: Prefix) -> Number:
    return sum(
        (
            share * max(ZERO, 1 + prices[node] - prices[(*node, token)])
            for token, share in enumerate(case.target[node])
        ),
        ZERO,
    )


def mean_of(case: Case, numbers: Numbers, node: Prefix) -> Number:
    row = case.target[node]
    return sum((share * numbers[(*node, token)] for token, share in enumerate(row)), ZERO)


def best_chi(case: Case, prices: Numbers) -> dict[Prefix, Number]:
    """The positive parts of the stopping bound: with them nothing is lost."""

    def later(node: Prefix) -> Number:
        if len(node) == case.length:
            return ZERO
        row = case.target[node]
        return sum(
            (share * gained((*node, token)) for token, share in enumerate(row) if share), ZERO
        )

    def gained(node: Prefix) -> Number:
        return max(ZERO, 1 + prices[node[:-1]] - prices[node] + later(node))

    strings = (
        y
        for length in range(1, case.length + 1)
        for y in itertools.product(range(case.vocab_size), repeat=length)
    )
    return {y: gained(y) for y in strings}


def martingale_bound(case: Case, psi: Numbers) -> Number:
    """E of the largest |x| - Y(x) + c(x), Y the martingale with increments psi - c."""
    level: dict[Prefix, Number] = {(): ZERO}
    worth: dict[Prefix, Number] = {}
    for length in range(case.length + 1):
        for x in itertools.product(range(case.vocab_size), repeat=length):
            c = mean_of(case, psi, x) if length < case.length else ZERO
            worth[x] = length - level[x] + c
            if length < case.length:
                level |= {(*x, t): level[x] + psi[*x, t] - c for t in range(case.vocab_size)}
    return drafted_term(case, worth) + worth[()]


def block_gate(case: Case) -> tuple[dict[Prefix, Number], ...]:
    """eta, kappa, m and psi of a single path: a token is scarce where its mass bounds the rule."""
    kept: dict[Prefix, Number] = {(): ZERO + 1}
    scarce: dict[Prefix, bool] = {}
    for length in range(case.length):
        for x in itertools.product(range(case.vocab_size), repeat=length):
            for t, share in enumerate(case.target[x]):
                node = (*x, t)
                mass = mass_of(case.drafts[0], (), node)
                scarce[node] = mass <= share * kept[x]
                kept[node] = min(mass, share * kept[x])

    def later(x: Prefix) -> Number:
        if len(x) == case.length:
            return ZERO
        return sum(
            (
                share * (1 + later((*x, t)))
                for t, share in enumerate(case.target[x])
                if not scarce[*x, t]
            ),
            ZERO,
        )

    eta = {node: ZERO + (not is_scarce) for node, is_scarce in scarce.items()}
    kappa = {node: 1 - value for node, value in eta.items()}
    worth = {node: later(node) for node in scarce}
    return eta, kappa, worth, eta


def hat(knots: tuple[float, ...], number: int) -> Callable[[float], float]:
    """One hat, by interpolation."""
    heights = [float(place == number) for place in range(len(knots))]
    return lambda at: float(np.interp(at, knots, heights))
