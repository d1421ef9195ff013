"""Statements of the theory page, by exact enumeration on small random cases."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from mdbound.bounds.laws.independent.law import optimal_subset
from mdbound.bounds.laws.independent.mean_bound import confine, scales_around, shrink_box
from mdbound.bounds.laws.independent.planes import product_overestimator
from mdbound.bounds.laws.independent.undecided import OpenTokens
from mdbound.bounds.numerics.clock_quadrature import node_step
from mdbound.bounds.numerics.exponential_clocks import trapezoid_step
from tests.docs.pages import DOCS

Law = list[Fraction]
Sets = dict[frozenset[int], Fraction]


def distribution(rng: random.Random, size: int, *, zeros: bool = False) -> Law:
    weights = [rng.choice([0, 1, 1, 2, 3, 5, 8, 200][not zeros :]) for _ in range(size)]
    weights[0] += sum(weights) == 0
    return [Fraction(weight, sum(weights)) for weight in weights]


def drafted_sets(q: Law, n: int, *, replacement: bool) -> Sets:
    law: Sets = {}
    support = [i for i in range(len(q)) if q[i] > 0]
    if replacement:
        for drafts in itertools.product(support, repeat=n):
            key = frozenset(drafts)
            law[key] = law.get(key, Fraction(0)) + math.prod(q[i] for i in drafts)
        return law
    for drafts in itertools.permutations(support, min(n, len(support))):
        probability, left = Fraction(1), Fraction(1)
        for i in drafts:
            probability *= q[i] / left
            left -= q[i]
        key = frozenset(drafts)
        law[key] = law.get(key, Fraction(0)) + probability
    return law


def subsets(size: int) -> Iterator[frozenset[int]]:
    for count in range(size + 1):
        yield from map(frozenset, itertools.combinations(range(size), count))


def containments(law: Sets, size: int) -> Sets:
    return {
        inside: sum((mass for drafted, mass in law.items() if drafted <= inside), Fraction(0))
        for inside in subsets(size)
    }


def mass(law: Law, tokens: frozenset[int] | list[int]) -> Fraction:
    return sum((law[i] for i in tokens), Fraction(0))


@pytest.mark.parametrize("replacement", [True, False])
def test_increments_rise_and_strictly_so_with_replacement(replacement: bool) -> None:
    rng = random.Random(1)
    for _ in range(40):
        size, n = rng.randint(2, 5), rng.randint(1, 4)
        q = distribution(rng, size)
        contained = containments(drafted_sets(q, n, replacement=replacement), size)
        for inside in subsets(size):
            for i, j in itertools.permutations(set(range(size)) - inside, 2):
                first = (contained[inside | {i}] - contained[inside]) / q[i]
                second = (contained[inside | {i, j}] - contained[inside | {i}]) / q[j]
                assert first <= second
                assert not (replacement and n > 1) or first < second


@pytest.mark.parametrize("replacement", [True, False])
def test_selected_law_is_feasible_optimal_and_tight_nowhere_else(replacement: bool) -> None:
    rng = random.Random(2)
    for _ in range(60):
        size, n = rng.randint(2, 5), rng.randint(1, 4)
        p, q = distribution(rng, size, zeros=True), distribution(rng, size, zeros=True)
        contained = containments(drafted_sets(q, n, replacement=replacement), size)
        selected, blocks = canonical_law(p, q, contained)
        assert sum(selected) == 1
        assert all(mass(selected, inside) >= f for inside, f in contained.items())
        best = 1 + min(mass(p, inside) - f for inside, f in contained.items())
        assert sum(map(min, p, selected)) == best
        before: frozenset[int] = frozenset()
        for block in blocks:
            if replacement and n > 1:  # what makes weights exist
                for count in range(1, len(block)):
                    for part in itertools.combinations(block, count):
                        gain = contained[before | set(part)] - contained[before]
                        assert gain < mass(selected, list(part))
            before |= set(block)


def canonical_law(p: Law, q: Law, contained: Sets) -> tuple[Law, list[list[int]]]:
    order = sorted((i for i in range(len(q)) if q[i] > 0), key=lambda i: p[i] / q[i])
    pieces: list[tuple[Fraction, Fraction, list[int]]] = []
    for k, i in enumerate(order):
        rise = contained[frozenset(order[: k + 1])] - contained[frozenset(order[:k])]
        pieces.append((p[i], rise, [i]))
        while len(pieces) > 1 and pieces[-2][0] > 0:
            (w, h, left), (v, g, right) = pieces[-2:]
            if g * w <= h * v:
                break
            pieces[-2:] = [(w + v, h + g, left + right)]
    selected = [Fraction(0)] * len(p)
    for width, height, block in pieces:
        for i in block:
            selected[i] = height / width * p[i] if width else height
    return selected, [block for _, _, block in pieces]


def test_optimal_sets_of_independent_drafts_are_threshold_sets() -> None:
    rng = random.Random(3)
    for _ in range(80):
        size, count = rng.randint(2, 6), rng.randint(2, 4)
        p = distribution(rng, size, zeros=True)
        drafts = [distribution(rng, size, zeros=True) for _ in range(count)]
        values = {h: mass(p, h) - math.prod(mass(q, h) for q in drafts) for h in subsets(size)}
        for inside, value in values.items():
            if value > min(values.values()):
                continue
            x = [mass(q, inside) for q in drafts]
            w = [math.prod(x[:k] + x[k + 1 :]) for k in range(count)]
            for i in range(size):
                limit = sum(w[k] * drafts[k][i] for k in range(count))
                assert p[i] >= limit or i in inside
                assert p[i] <= limit or i not in inside


def test_overestimator_lies_above_the_product_with_slopes_between_the_weights() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        count = int(rng.integers(2, 5))
        low, high = np.sort(rng.random((2, count)), axis=0)
        for mix in (0.0, 0.25, 1.0):
            slopes, constant = product_overestimator(low, high, mix)
            points = low + (high - low) * rng.random((50, count))
            assert (points @ slopes + constant >= points.prod(axis=1) - 1e-14).all()
            others = ~np.eye(count, dtype=bool)
            for k in range(count):
                assert low[others[k]].prod() <= slopes[k] + 1e-15
                assert slopes[k] <= high[others[k]].prod() + 1e-15


def test_better_sets_are_where_the_mean_bound_confines_them() -> None:
    rng = np.random.default_rng(9)
    confined = 0
    for _ in range(300):
        count, size = int(rng.integers(2, 5)), int(rng.integers(2, 10))
        p, *q = rng.dirichlet(np.full(size, 0.5), size=count + 1)
        drafts = np.array(q)
        masks = np.array(list(itertools.product([0.0, 1.0], repeat=size)))
        x = masks @ drafts.T
        values = masks @ p - x.prod(axis=1)
        at = x[values.argmin()] * rng.uniform(0.95, 1.05, count) + 1e-3
        w = np.array([np.delete(at, k).prod() for k in range(count)])
        assert (x.prod(axis=1) <= (x @ w / count) ** count / w.prod() * (1.0 + 1e-12)).all()
        tokens = OpenTokens(np.arange(size), np.vstack([p, drafts]), np.zeros(count + 2), size)
        scales = scales_around(0.1, 3.0, 12, 0.5)
        limit = float(np.quantile(values, 0.02))
        found = confine(tokens, w, scales, 0.0, float(w.sum()), min(limit, 0.0))
        middle = drafts[:, p < w @ drafts].sum(axis=1)
        low, high = np.zeros(count), np.ones(count)
        shrink_box(found, w, middle, low, high)
        differs = masks != (p < w @ drafts)
        for better in np.flatnonzero(values < min(limit, 0.0) - 1e-15):
            assert found.possible
            assert found.low - 1e-12 <= x[better] @ w <= found.high + 1e-12
            assert np.abs(p - w @ drafts)[differs[better]].sum() <= found.cost + 1e-12
            assert (np.abs(x[better] - middle) * w <= found.reach + 1e-12).all()
            assert (low <= x[better] + 1e-12).all()
            assert (high >= x[better] - 1e-12).all()
            confined += 1
    assert confined > 300


def test_search_ends_where_many_tokens_are_tied() -> None:
    rng = np.random.default_rng(6)
    for case in range(150):
        count, size = int(rng.integers(2, 5)), int(rng.integers(2, 9))
        q = rng.multinomial(32, rng.dirichlet(np.full(size, 0.7)), size=count) / 32.0
        x = rng.integers(1, 8, size=count) / 8.0
        p = np.array([x[:k].prod() * x[k + 1 :].prod() for k in range(count)]) @ q
        p = np.append(p, max(0.0, 1.0 - p.sum()))  # every token of q has p = w.q at x
        drafts = np.ascontiguousarray(np.c_[q, np.zeros(count)])
        members, boxes = optimal_subset(p, drafts)
        masks = np.array(list(itertools.product([0.0, 1.0], repeat=len(p))))
        values = masks @ p - (masks @ drafts.T).prod(axis=1)
        found = p[members].sum() - drafts[:, members].sum(axis=1).prod()
        assert abs(found - values.min()) <= 2e-14, case
        assert boxes <= 100, case


def trapezoid_bound(step: float, n: int) -> float:
    angles = np.linspace(0.3, math.pi / 2 - 1e-3, 4000)
    errors = 2.0 * np.cos(angles) ** -n / np.expm1(2.0 * math.pi * angles / step)
    return float(errors.min())


def test_table_of_trapezoid_bounds() -> None:
    page = (DOCS / "theory.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (0\.\d+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for step, cells in rows:
        for n, cell in zip((1, 3, 5, 8), cells.split(" | "), strict=True):
            assert float(f"{trapezoid_bound(float(step), n):.0e}") == float(cell)
    for n in (3, 8):
        assert trapezoid_bound(trapezoid_step(n), n) <= 2.1e-16


def magnitude(n: int, height: float, start: float) -> float:
    """M of (8.3), integrated on a grid of its own."""
    x = np.linspace(-8.0, start, 200_001)
    u = x + 1j * height
    z = np.exp(u - np.exp(-u))
    early = np.abs(z * (1.0 + np.exp(-u))) * np.exp(np.abs(z) + np.maximum(0.0, -z.real))
    theta = height + math.exp(-start) * math.sin(height)
    psi = theta - float(np.angle(1.0 + np.exp(-start + 1j * height)))
    assert 0.0 < psi <= theta < math.pi / 2
    integral_before = float(np.trapezoid(early, x))
    return integral_before + math.cos(theta) ** -(n - 1) / math.cos(psi)


def rows_of_steps() -> list[list[float]]:
    page = (DOCS / "theory.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (0\.\d+ \| .+) \|$", page, re.MULTILINE)
    return [[float(n), *map(float, cells.split(" | "))] for n, cells in rows]


def test_table_of_steps() -> None:
    rows = rows_of_steps()
    assert [row[0] for row in rows] == [3, 5, 8]
    for n, step, height, start, stated in rows:
        assert round(node_step(int(n)), 3) == step
        found = magnitude(int(n), height, start)
        assert float(f"{found:.0e}") == stated
        assert 2.0 * found / math.expm1(2.0 * math.pi * height / node_step(int(n))) <= 2.1e-16


def test_integrand_on_the_line_is_below_both_estimates() -> None:
    rng = np.random.default_rng(7)
    for n, _, height, start, _ in rows_of_steps():
        x = np.linspace(-4.0, 6.0, 2001)
        u = x + 1j * height
        z = np.exp(u - np.exp(-u))
        speed = np.abs(z * (1.0 + np.exp(-u)))
        later = x >= start
        for decades in (0.5, 3.0):
            rates = 10.0 ** -(decades * rng.random(12))
            rates /= rates.sum()
            found = np.abs(clock_integrand(rates[:-1], rates[-1], int(n), z)) * speed
            early = speed * np.exp(np.abs(z) + np.maximum(0.0, -z.real))
            assert (found <= early * (1.0 + 1e-12)).all()
            real = clock_integrand(rates[:-1], rates[-1], int(n), z.real + 0j).real
            late = (np.abs(z) / z.real)[later] ** (n - 1) * (speed * real)[later]
            assert (found[later] <= late * (1.0 + 1e-12)).all()


@pytest.mark.parametrize("n", [1, 3, 8])
def test_error_with_fewer_nodes_is_below_its_bound(n: int) -> None:
    rng = np.random.default_rng(8)
    for decades in (0.5, 3.0):
        rates = 10.0 ** -(decades * rng.random(n + 3))
        rates /= rates.sum()
        fine = integral(rates[:-1], rates[-1], n, 0.05)
        for step in (0.8, 0.5, 0.35):
            lines = [(y, magnitude(n, y, x)) for y, x in ((0.9, 1.5), (1.1, 2.0), (1.3, 2.5))]
            bound = min(2.0 * m / math.expm1(2.0 * math.pi * y / step) for y, m in lines)
            for offset in (0.0, 0.5):
                u = step * (np.arange(math.floor(-5.0 / step), math.ceil(14.0 / step)) + offset)
                t = np.exp(u - np.exp(-u)) + 0j
                values = clock_integrand(rates[:-1], rates[-1], n, t) * t * (1.0 + np.exp(-u))
                assert abs(step * values.sum().real - fine) <= bound + 1e-13


def clock_integrand(
    inside: npt.NDArray[np.float64], outside: float, n: int, z: npt.NDArray[np.complex128]
) -> npt.NDArray[np.complex128]:
    """W e^(-W z) P_n(z)."""
    law = np.zeros((n, len(z)), dtype=np.complex128)
    law[0] = 1.0
    for rate in inside:
        silent = np.exp(-rate * z)
        law[1:] = law[1:] * silent + law[:-1] * (1.0 - silent)
        law[0] *= silent
    return np.asarray(outside * np.exp(-outside * z) * law.sum(axis=0))


@pytest.mark.parametrize("n", [1, 3, 5])
def test_trapezoid_error_is_below_its_bound(n: int) -> None:
    rng = np.random.default_rng(5)
    for decades in (1.0, 3.0):
        rates = 10.0 ** -(decades * rng.random(n + 3))
        rates /= rates.sum()
        fine = integral(rates[:-1], rates[-1], n, 0.05)
        for step in (0.8, 0.5):
            for offset in (0.0, 0.25, 0.5):
                error = abs(integral(rates[:-1], rates[-1], n, step, offset) - fine)
                assert error <= fine * (trapezoid_bound(step, n) + 1e-13)


def integral(
    inside: npt.NDArray[np.float64], outside: float, n: int, step: float, offset: float = 0.0
) -> float:
    t = np.exp(step * (np.arange(math.floor(-40.0 / step), math.ceil(12.0 / step)) + offset))
    law = np.zeros((n, len(t)))
    law[0] = 1.0
    for rate in inside:
        silent = np.exp(-rate * t)
        law[1:] = law[1:] * silent + law[:-1] * (1.0 - silent)
        law[0] *= silent
    return float(step * (outside * t * np.exp(-outside * t) * law.sum(axis=0)).sum())
