"""Naive verification: sample the target, then look whether the sample was drafted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.draws import draw_independent, draw_tokens
from mdbound.schemes.registry import register
from mdbound.schemes.residual_mass import BLOCK, two_sum
from mdbound.schemes.scheme import RowRates, Samples, Scheme, exact_rates


@kernel(fastmath={"reassoc", "nsz", "contract"})
def _block(p: FloatArray, q: FloatArray, n: int, start: int, stop: int) -> float:
    # 1 - (1-q)^n = q (1 + m (1 + m (...))) with m = 1 - q: no cancellation at small q, no power.
    drafted = np.empty(BLOCK)
    width = stop - start
    for i in range(width):
        drafted[i] = 1.0
    for _ in range(n - 1):
        for i in range(width):
            drafted[i] = 1.0 + (1.0 - q[start + i]) * drafted[i]
    mass = 0.0
    for i in range(width):
        mass += p[start + i] * q[start + i] * drafted[i]
    return mass


@kernel
def sampled_target_is_drafted(p: FloatArray, q: FloatArray, n: int) -> float:
    """Sum of p (1 - (1 - q)^n) over V tokens.

    Example:
        >>> sampled_target_is_drafted(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 2)
        0.75
    """
    mass = 0.0
    lost = 0.0
    for start in range(0, len(p), BLOCK):
        mass, lost = two_sum(mass, lost, _block(p, q, n, start, min(start + BLOCK, len(p))))
    return mass + lost


@register
class Naive(Scheme):
    """Sample y ~ p without looking at the drafts; y is accepted when it was drafted.

    This is the definition used here: drafts and output are independent, so both rates are the sum
    over y of p(y) (1 - product over drafts of (1 - q_k(y))). O(n V). Some texts call "naive" the
    scheme that tests the first draft only; that one is `single_draft` with drafts to spare. Others
    call this one naive speculative sampling (NSS).

    Source: naive sampling of Miao et al. 2024 (SpecInfer), section 4.3.

    Example:
        >>> Naive().acceptance([0.5, 0.5], [0.5, 0.5], 2).membership
        0.75
    """

    name = "naive"
    table_order = 20
    identical_only: ClassVar[bool] = False
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        return exact_rates(np.array([sampled_target_is_drafted(p, q, n) for n in counts]))

    def _row_rates_independent(self, p: FloatArray, drafts: list[FloatArray]) -> RowRates:
        missed = np.sum([np.log1p(-np.minimum(q, 1.0 - 2.0**-53)) for q in drafts], axis=0)
        certain = np.any([q >= 1.0 for q in drafts], axis=0)
        drafted = np.where(certain, 1.0, -np.expm1(missed))
        return exact_rates(np.array([float(np.sum(p * drafted))]))

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        drafted = draw_independent(drafts, rng, size)
        output = draw_tokens(p, rng, size)
        return Samples(drafted, output, (drafted == output[:, None]).any(axis=1))

    def _branches(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> dict[int, float]:
        del drafts  # the output does not depend on them
        return {x: p[x] for x in drafted}
