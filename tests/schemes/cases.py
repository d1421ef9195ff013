"""Small target and draft pairs that provoke the edges, as exact fractions with float64 images."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray

KINDS = ("dense", "sparse", "peaked", "tied", "equal", "disjoint", "point_mass", "tiny_mass")


@dataclass(frozen=True)
class Case:
    kind: str
    target: tuple[Fraction, ...]
    draft: tuple[Fraction, ...]

    @property
    def p(self) -> FloatArray:
        return np.array([float(x) for x in self.target])

    @property
    def q(self) -> FloatArray:
        return np.array([float(x) for x in self.draft])

    def __str__(self) -> str:
        return f"{self.kind}: p={[str(x) for x in self.target]} q={[str(x) for x in self.draft]}"


def _normalised(weights: list[int]) -> tuple[Fraction, ...]:
    total = sum(weights)
    return tuple(Fraction(w, total) for w in weights)


def _weights(kind: str, size: int, rng: random.Random) -> list[int]:
    if kind == "sparse":
        weights = [rng.choice((0, 0, rng.randint(1, 30))) for _ in range(size)]
    elif kind == "peaked":
        weights = [rng.choice((1, 2, 1000)) for _ in range(size)]
    elif kind == "tied":
        weights = [rng.choice((1, 2)) for _ in range(size)]
    elif kind == "point_mass":
        weights = [0] * size
    elif kind == "tiny_mass":
        weights = [rng.choice((1, 10**6, 10**9)) for _ in range(size)]
    else:
        weights = [rng.randint(1, 100) for _ in range(size)]
    if not any(weights):
        weights[rng.randrange(size)] = 1
    return weights


def make_case(kind: str, size: int, seed: int) -> Case:
    rng = random.Random(f"{kind}-{size}-{seed}")
    target = _weights("dense" if kind == "point_mass" and seed % 2 else kind, size, rng)
    draft = _weights(kind, size, rng)
    if kind == "equal":
        draft = target
    elif kind == "disjoint":
        cut = rng.randint(1, size - 1)
        target = [w if y < cut else 0 for y, w in enumerate(target)]
        draft = [w if y >= cut else 0 for y, w in enumerate(draft)]
    return Case(kind, _normalised(target), _normalised(draft))


def small_cases(per_kind: int, sizes: tuple[int, ...] = (2, 3, 4)) -> list[Case]:
    return [
        make_case(kind, sizes[seed % len(sizes)], seed)
        for kind in KINDS
        for seed in range(per_kind)
    ]
